from __future__ import annotations

import json

import pytest

from gfnet.errors import BudgetError, DataError
from gfnet.inference.budgets import BudgetPoint
from gfnet.inference.exits import ALWAYS, NEVER
from gfnet.results.files import write_result_file
from gfnet.results.schema import cumulative_latency
from gfnet_benchmark.results.scheduling import Candidate, best_schedule, open_candidates
from network_support import gfnet, one_line
from result_support import classifier, network, result


def point(top1, exits):
    return BudgetPoint(1e6, (0.5, 0.5, ALWAYS), top1, 1e6, exits)


SMALL = Candidate("small", (point(70.0, (0.5, 0.5, 0.0)), point(72.0, (0.2, 0.4, 0.4))), (60.0, 70.5, 73.0), (1, 2, 3))
LARGE = Candidate("large", (point(75.0, (0.9, 0.1, 0.0)),), (66.0, 78.0, 80.0), (2, 5, 8))


def test_the_most_accurate_within_the_target_is_taken():
    best, own = best_schedule([SMALL, LARGE], 2.25)
    assert (best.candidate, best.top1) == (SMALL, 72.0)
    assert best.mean_ms == pytest.approx(0.2 * 1 + 0.4 * 2 + 0.4 * 3)
    assert own[1] is not None
    assert own[1].top1 == 66.0  # all of its images stop at the glance
    assert own[1].thresholds == (ALWAYS, ALWAYS, ALWAYS)
    best, _ = best_schedule([SMALL, LARGE], 2.3)
    assert (best.candidate, best.top1) == (LARGE, 75.0)


def test_stopping_all_images_alike_may_be_best():
    best, _ = best_schedule([SMALL], 2.0)
    assert (best.top1, best.thresholds, best.exit_distribution) == (70.5, (NEVER, ALWAYS, ALWAYS), (0, 1, 0))


def test_too_little_time_or_knowledge_is_refused():
    with pytest.raises(BudgetError, match=r"0\.5 ms is too little: the fastest is small with 1 ms"):
        best_schedule([SMALL, LARGE], 0.5)
    with pytest.raises(BudgetError, match="x: no accuracy is stored"):
        best_schedule([Candidate("x", (), (), (1, 2))], 5)


@pytest.fixture
def device(tmp_path, checkpoint):
    """What the small network's steps cost somewhere."""
    measured = network(network=checkpoint.model.config.name, lengths=(1.0, 2.0, 3.0))
    write_result_file(tmp_path / "device.json", result(measured, classifier()))
    return tmp_path / "device.json"


def test_a_checkpoint_and_its_bundle_get_the_same_thresholds(device, checkpoint_file, onnx_bundle, tmp_path):
    asked = ("bench", "schedule", "--device", device, "--target-ms", "1.8")
    answers = []
    for network_option in (("--checkpoint", checkpoint_file), ("--bundle", onnx_bundle.folder)):
        done = gfnet(*asked, *network_option, "--json", tmp_path / "answer.json")
        assert done.exit_code == 0, done.output
        answers.append(json.loads((tmp_path / "answer.json").read_text()))
    assert {**answers[0], "network": None} == {**answers[1], "network": None}
    assert answers[0]["mean_ms"] <= 1.8
    assert "best" in gfnet(*asked, "--checkpoint", checkpoint_file, "--bundle", onnx_bundle.folder).output


def test_another_network_is_named(tmp_path, checkpoint_file, device):
    write_result_file(tmp_path / "other.json", result())
    asked = ("bench", "schedule", "--checkpoint", checkpoint_file, "--target-ms", "5")
    assert "results measure fp32 (mobilenetv3_large_100_p96_T3" in one_line(
        gfnet(*asked, "--device", tmp_path / "other.json")
    )
    assert "is too little" in one_line(
        gfnet("bench", "schedule", "--checkpoint", checkpoint_file, "--target-ms", "0.1", "--device", device)
    )


def test_results_of_two_devices_do_not_mix(tmp_path, device, checkpoint_file, checkpoint):
    machine = result().machine.model_copy(update={"device": "Phone 13"})
    write_result_file(tmp_path / "other.json", result(machine=machine))
    with pytest.raises(DataError, match="several devices: Phone 12, Phone 13"):
        open_candidates([checkpoint_file], [str(device), str(tmp_path / "other.json")])


def test_a_bundle_s_own_precision_is_found_among_several(tmp_path, onnx_bundle, checkpoint_file, checkpoint):
    name = checkpoint.model.config.name
    both = result(
        network("a", network=name, precision="int8", lengths=(1.0, 2.0, 3.0)),
        network("b", network=name, precision="fp32", lengths=(2.0, 4.0, 6.0)),
        classifier(),
    )
    write_result_file(tmp_path / "both.json", both)
    path = str(tmp_path / "both.json")
    (candidate,) = open_candidates([onnx_bundle.folder], [path])
    assert candidate.cumulative_ms == cumulative_latency(both.subject("b"))
    with pytest.raises(DataError, match=r"as a \(.* int8 split\), b \(.* fp32 split\); give one of them, by #NAME"):
        open_candidates([checkpoint_file], [path])
    (candidate,) = open_candidates([checkpoint_file], [f"{path}#a"])
    assert candidate.cumulative_ms == (1.0, 2.0, 3.0)
    with pytest.raises(DataError, match="fp32 split, but the results measure a"):  # not at another form's speed
        open_candidates([onnx_bundle.folder], [f"{path}#a"])
