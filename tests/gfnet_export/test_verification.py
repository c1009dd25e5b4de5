from __future__ import annotations

import copy
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from gfnet.checkpoint import load_checkpoint, save_checkpoint
from gfnet.evaluation import find_thresholds
from gfnet.exits import ALWAYS, NEVER
from gfnet.images import find_images
from gfnet.inference import torch_predictor
from gfnet_export.bundle import open_bundle
from gfnet_export.differences import DifferenceMeter
from gfnet_export.loading import load_predictor
from gfnet_export.macos import is_macos
from gfnet_export.onnx_bundle import export_onnx
from gfnet_export.verification import GATES, verify
from gfnet_export.verification_report import read_squares, verification_table
from network_support import SMALL, gfnet, one_line, small_checkpoint


@pytest.fixture(scope="module")
def squares(onnx_bundle, scenes):
    found, labels, unreadable = read_squares(onnx_bundle.manifest, scenes / "val", 12)
    assert (len(found), len(labels), unreadable) == (12, 12, [])
    return found, labels


def test_an_onnx_bundle_decides_as_torch_does(onnx_bundle, checkpoint, squares):
    found = verify(onnx_bundle, checkpoint, squares[0], labels=squares[1])
    assert found.failures == ()
    assert {(item.subgraph, item.output) for item in found.differences} == {
        (graph.name, spec.name) for graph in onnx_bundle.manifest.subgraphs for spec in graph.outputs
    }
    assert all(0 < item.mean <= item.largest for item in found.differences)
    assert all(item.psnr > 90 for item in found.differences)
    ours, theirs = found.decisions
    assert (ours.runtime, theirs.runtime) == ("torch", "ONNX Runtime")
    assert dataclasses.replace(ours, runtime="") == dataclasses.replace(theirs, runtime="")
    half = (found.confidence[0] >= found.thresholds[0]).mean()
    assert half == 0.5  # the thresholds that it takes unless told otherwise


def test_a_core_ml_bundle_decides_as_torch_does_but_for_float16(coreml_bundle, checkpoint, squares):
    found = verify(coreml_bundle, checkpoint, squares[0])
    assert found.failures == ()
    itself = ["Core ML"] if is_macos() else []
    assert [row.runtime for row in found.decisions] == ["torch", *itself, "MIL", "MIL, not rounded"]
    largest = {
        runtime: max(item.relative for item in found.differences if item.runtime == runtime)
        for runtime in ("MIL", "MIL, not rounded")
    }
    assert GATES["fp32"].difference < largest["MIL, not rounded"] < largest["MIL"] < GATES["fp16"].difference


def test_accuracy_is_that_of_the_answers_where_images_stop(onnx_bundle, checkpoint, scenes, squares):
    thresholds = checkpoint.evaluation.budgeted[20].thresholds
    found = verify(onnx_bundle, checkpoint, squares[0], thresholds=thresholds, labels=squares[1])
    traces = torch_predictor(checkpoint)([np.asarray(square) for square in squares[0]], thresholds)
    right = [trace.class_index == label for trace, label in zip(traces, squares[1], strict=True)]
    assert found.decisions[0].top1 == pytest.approx(100 * np.mean(right))


@pytest.fixture(scope="module")
def other(checkpoint, tmp_path_factory):
    """A bundle of the same network with slightly different weights, as a wrong conversion would give."""
    altered = copy.deepcopy(checkpoint)
    with torch.no_grad():
        for parameter in altered.model.local_encoder.parameters():
            parameter *= 1.02
    return export_onnx(altered, tmp_path_factory.mktemp("other") / "bundle")


def test_other_weights_are_noticed_where_they_are(other, checkpoint, squares):
    found = verify(other, checkpoint, squares[0])
    assert any(failure.what.startswith("focus_2, logits: differs by") for failure in found.failures)
    assert not any(failure.what.startswith(("glance", "policy")) for failure in found.failures)


def test_a_gate_that_is_not_passed_is_exit_code_1_and_a_table(other, checkpoint_file, scenes, tmp_path):
    result = gfnet(
        *("verify", other.folder, "--against", checkpoint_file, "--images", scenes / "val", "--limit", "12"),
        *("--json", tmp_path / "found.json"),
    )
    assert result.exit_code == 1
    assert "FAILED  ONNX Runtime: focus_2, logits: differs by" in result.stdout
    assert "runtime            images   same exit" in result.stdout
    assert json.loads((tmp_path / "found.json").read_text())["failures"]


def test_verifying_without_images_takes_scenes(onnx_bundle, checkpoint_file):
    result = gfnet("verify", onnx_bundle.folder, "--against", checkpoint_file, "--limit", "6")
    assert result.exit_code == 0, result.output
    assert "all gates passed" in result.stdout


def test_retuned_thresholds_are_those_of_the_exported_network(onnx_bundle, checkpoint_file, scenes, tmp_path):
    folder = shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")
    result = gfnet("verify", folder, "--against", checkpoint_file, "--images", scenes / "train", "--retune")
    assert result.exit_code == 0, result.output
    changed = open_bundle(folder)  # its digests still hold
    traces = load_predictor(folder)(find_images([scenes / "train"]), None)
    confidence = np.array([[step.confidence for step in trace.steps] for trace in traces], np.float32).T
    predictions = dataclasses.make_dataclass("Confidences", ["confidence"])(confidence)
    thresholds, _ = find_thresholds(predictions, changed.manifest.step_macs)
    np.testing.assert_allclose([point.thresholds for point in changed.manifest.budgets], thresholds, rtol=1e-6)
    before = [point.thresholds for point in onnx_bundle.manifest.budgets]
    assert before != [point.thresholds for point in changed.manifest.budgets]
    assert all(point.top1 is not None for point in changed.manifest.budgets)
    assert changed.manifest.subgraphs == onnx_bundle.manifest.subgraphs


def test_another_network_is_refused(onnx_bundle, checkpoint_file, scenes, tmp_path):
    save_checkpoint(
        tmp_path / "longer.safetensors", small_checkpoint(scenes / "val", dataclasses.replace(SMALL, steps=4))
    )
    message = one_line(gfnet("verify", onnx_bundle.folder, "--against", tmp_path / "longer.safetensors"))
    assert "differ in their number of steps (3 and 4)" in message
    loaded = load_checkpoint(checkpoint_file)
    save_checkpoint(tmp_path / "names.safetensors", dataclasses.replace(loaded, labels=loaded.labels[::-1]))
    message = one_line(gfnet("verify", onnx_bundle.folder, "--against", tmp_path / "names.safetensors"))
    assert "differ in their class labels" in message


def test_images_that_cannot_be_read_are_named(onnx_bundle, checkpoint_file, scenes, tmp_path):
    folder = shutil.copytree(scenes / "val", tmp_path / "val")
    (folder / "star" / "broken.png").write_bytes(b"no image")
    result = gfnet("verify", onnx_bundle.folder, "--against", checkpoint_file, "--images", folder)
    assert result.exit_code == 1
    assert "all gates passed" in result.stdout
    assert "broken.png" in result.stderr


def test_a_result_that_is_no_number_fails_every_gate():
    meter = DifferenceMeter()
    meter.add(("r", "s", "o"), np.ones(2), np.array([1.0, np.nan]))
    (difference,) = meter.results()
    assert difference.relative == np.inf


def test_a_core_ml_bundle_can_be_used_without_a_mac(coreml_bundle, onnx_bundle, scenes, tmp_path):
    photo = next((scenes / "val" / "star").iterdir())
    for bundle in (coreml_bundle, onnx_bundle):
        assert (
            gfnet("predict", bundle.folder, photo, "--json", tmp_path / f"{bundle.manifest.format}.json").exit_code == 0
        )
    ours, theirs = (json.loads((tmp_path / f"{name}.json").read_text())[0] for name in ("coreml", "onnx"))
    assert (ours["label"], ours["exit_step"]) == (theirs["label"], theirs["exit_step"])
    assert ours["confidence"] == pytest.approx(theirs["confidence"], abs=0.01)


def test_a_result_that_is_no_number_is_a_failed_gate_not_a_traceback(checkpoint, onnx_bundle, squares):
    broken = copy.deepcopy(checkpoint)
    with torch.no_grad():
        broken.model.global_encoder.net.fc.weight.fill_(3e38)  # finite, and beyond float32 once it is summed up
    found = verify(onnx_bundle, broken, squares[0][:2])
    assert any(failure.what.startswith("glance, logits: differs by") for failure in found.failures)
    written = json.dumps(found.to_dict(), allow_nan=False)
    assert '"largest": null' in written
    assert "glance" in verification_table(found)


def test_all_steps_means_that_nobody_stops_early(onnx_bundle, checkpoint_file, tmp_path):
    out = tmp_path / "found.json"
    options = ("--limit", "3", "--all-steps", "--json", out)
    assert gfnet("verify", onnx_bundle.folder, "--against", checkpoint_file, *options).exit_code == 0
    thresholds = json.loads(out.read_text())["thresholds"]
    assert thresholds[:2] == [NEVER, NEVER]
    assert thresholds[2] == ALWAYS


def test_values_beyond_float16_are_a_failure_even_where_the_runtime_hides_them(checkpoint, squares, tmp_path):
    loud = copy.deepcopy(checkpoint)
    with torch.no_grad():
        loud.model.global_encoder.net.fc.weight.mul_(1e4)
    bundle = export_onnx(loud, tmp_path / "bundle", precision="fp16")
    found = verify(bundle, loud, squares[0][:2])
    assert any("glance, logits: reaches" in failure.what for failure in found.failures)


def test_what_was_never_compared_is_a_failure(checkpoint, squares, tmp_path):
    bundle = export_onnx(checkpoint, tmp_path / "bundle", layout="fused")
    other = copy.deepcopy(checkpoint)
    with torch.no_grad():
        other.model.policy.actor[0].bias.add_(10)
    found = verify(bundle, other, squares[0][:2])
    missing = {failure.what.split(":")[0] for failure in found.failures if "never compared" in failure.what}
    assert "step_2, logits" in missing
    assert "step_2, action" not in missing


def test_thresholds_are_not_found_on_generated_scenes_nor_on_a_broken_bundle(
    onnx_bundle, other, checkpoint_file, scenes, tmp_path
):
    line = one_line(gfnet("verify", onnx_bundle.folder, "--against", checkpoint_file, "--retune"))
    assert "--retune needs photos like those of later use; pass --images" in line
    folder = shutil.copytree(other.folder, tmp_path / "bundle")
    result = gfnet("verify", folder, "--against", checkpoint_file, "--images", scenes / "val", "--retune")
    assert result.exit_code == 1
    assert "the thresholds stay as they are, as not all gates are passed" in result.stdout
    assert open_bundle(folder).manifest == other.manifest


def test_the_gates_are_told(onnx_bundle, checkpoint, squares):
    told = verification_table(verify(onnx_bundle, checkpoint, squares[0][:2])).splitlines()[-1]
    gates = GATES["fp32"]
    assert told.startswith(f"all gates passed: relative difference at most {gates.difference:g}; same label 100.0%")
