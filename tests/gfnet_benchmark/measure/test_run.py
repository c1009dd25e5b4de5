from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gfnet.checkpoint import Checkpoint
from gfnet.errors import DataError
from gfnet.inference.adaptive import classify
from gfnet.inference.exits import default_point
from gfnet.inference.images import find_images, load_image
from gfnet.results.files import read_result
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.rounds import Stopping
from gfnet_benchmark.measure.run import bench_onnx
from gfnet_benchmark.measure.runners import open_runners
from gfnet_benchmark.measure.selection import select_targets
from gfnet_benchmark.measure.targets import target_of
from gfnet_benchmark.report.tables import result_table
from gfnet_benchmark.results.doubts import measured_over_modelled
from gfnet_export.bundle.reader import open_bundle
from gfnet_export.onnx.bundle import export_onnx
from manifest_support import rewrite, stored
from network_support import gfnet, one_line, recurrent, small_checkpoint, small_network


def ticking():
    """A clock whose every reading is one second after the last, so whatever reads it twice takes one second."""
    ticks = iter(range(10**9))
    return lambda: float(next(ticks))


def altered(bundle, folder, **values):
    """A copy whose manifest says otherwise."""
    shutil.copytree(bundle.folder, folder)
    rewrite(folder, {**stored(folder), **values})
    return open_bundle(folder)


@pytest.fixture(scope="module")
def photos(scenes):
    return Photos(find_images([scenes / "val"]))


def first(photos, count):
    return Photos(photos.files[:count])


@pytest.fixture(scope="module")
def measured(onnx_bundle, photos, tmp_path_factory):
    """The small network and its baseline on every validation scene, once."""
    targets = select_targets([onnx_bundle], photos, tmp_path_factory.mktemp("baselines"), clock=ticking())
    return bench_onnx(targets, photos, rounds=2, cold=None)


def test_the_command_writes_a_result_that_can_be_read_again(onnx_bundle, scenes, tmp_path):
    out = tmp_path / "result.json"
    photos = ("--images", scenes / "val", "--limit", "6")
    arguments = ("bench", "onnx", onnx_bundle.folder, *photos, "--rounds", "3", "--processes", "2")
    done = gfnet(*arguments, "--json", out)
    assert done.exit_code == 0, done.output
    result = read_result(out)
    assert (result.images, result.rounds, result.processes) == (6, 3, 2)
    options = "--images val --limit 6 --rounds 3 --processes 2 --json RESULT.json"
    assert result.command == f"gfnet bench onnx onnx {options}"  # no folder that only this machine has
    (subject,) = result.networks
    assert {graph.name: graph.steady.count for graph in subject.subgraphs} == {
        "glance": 18,
        "policy": 36,
        "focus_2": 18,
        "focus_3": 18,
    }
    assert [stop.latency.count for stop in subject.stops] == [18, 18, 18]
    assert subject.reference == "test_resnet@96"
    assert result.subject("test_resnet@96").loop.ratio is None
    assert subject.loop.ratio is not None
    assert subject.sha256 is not None
    # Cold numbers come from processes of their own.
    assert subject.cold is not None
    assert subject.cold.repeats == 3
    assert subject.cold.import_ms > 0
    assert 10e6 < subject.cold.peak_bytes < 1e9
    assert all(graph.load_ms > 0 and graph.first_run_ms > 0 for graph in subject.subgraphs)
    for text in ("glance", "focus_3", "all stop after step 2", "full image", "of the baseline", "must stop there"):
        assert text in done.output
    assert "threads 1" not in done.output
    assert "1 thread (optimisation all" in done.output


def test_exits_and_accuracies_are_the_network_s_own(measured, onnx_bundle, checkpoint, photos, scenes):
    (subject,) = measured.networks
    target = target_of(onnx_bundle.folder)
    thresholds = default_point(target.points).thresholds
    squares = [target.preprocessing(load_image(photo))[None] for photo in photos.files]
    runner = open_runners(target.path, target.settings, ticking()).plain
    expected = [classify(runner, square, thresholds, [""])[0] for square in squares]
    assert subject.loop.thresholds == thresholds
    assert [answer.exit_step for answer in subject.loop.answers] == [trace.exit_step for trace in expected]
    assert [answer.class_index for answer in subject.loop.answers] == [trace.class_index for trace in expected]
    # The checkpoint was evaluated on the same scenes.
    evaluation = checkpoint.evaluation
    assert [stop.top1 for stop in subject.stops] == pytest.approx(list(evaluation.anytime_top1))
    for point, expected in zip(subject.curve, evaluation.budgeted, strict=True):
        assert point.measured_exits == pytest.approx(expected.exit_distribution, abs=0.051)  # a tie or two of 40
        assert point.measured_top1 == pytest.approx(expected.top1, abs=2.6)


def test_a_budget_costs_what_images_took_that_stopped_where_it_stops_them(measured):
    (subject,) = measured.networks
    lengths = [stop.typical_ms for stop in subject.stops]
    for point in subject.curve:
        assert point.measured_ms > 0
        assert point.modelled_ms == pytest.approx(np.dot(point.exit_distribution, lengths))
    assert measured_over_modelled(subject) == subject.loop.typical_ms / subject.loop.modelled_ms


def test_times_come_from_the_clock(onnx_bundle, photos, tmp_path):
    targets = select_targets([onnx_bundle], first(photos, 2), tmp_path, clock=ticking())
    all_steps = Stopping(all_steps=True)
    result = bench_onnx(targets, first(photos, 2), stopping=all_steps, rounds=2, clock=ticking(), cold=None)
    (subject,) = result.networks
    assert {graph.steady.median_ms for graph in subject.subgraphs} == {1000.0}
    # Two readings around each whole image; two more for each of five subgraphs' calls where all steps are run.
    assert [stop.typical_ms for stop in subject.stops] == [1000.0, 1000.0, 11000.0]
    assert result.harness_us == 1e6
    assert subject.loop.exit_distribution == (0, 0, 1)
    assert result.subject("test_resnet@96").loop.typical_ms == 1000.0
    assert subject.stops[2].ratio.value == pytest.approx(11)
    assert result_table(result)


@pytest.mark.slow
def test_several_bundles_and_threads_run_together(onnx_bundle, fused_bundle, photos, tmp_path):
    targets = select_targets([onnx_bundle, fused_bundle], first(photos, 2), tmp_path, threads=(1, 2), clock=ticking())
    assert [target.name for target in targets] == [
        f"{name}, {threads}" for threads in ("1 thread", "2 threads") for name in ("onnx", "fused", "test_resnet@96")
    ]
    result = bench_onnx(targets, first(photos, 2), rounds=2, cold=None)
    assert [subject.reference for subject in result.networks] == [
        *["test_resnet@96, 1 thread"] * 2,
        *["test_resnet@96, 2 threads"] * 2,
    ]
    assert [graph.role for graph in result.subject("fused, 2 threads").subgraphs] == ["glance", "step", "step"]
    one, other = (result.subject(f"{name}, 1 thread").loop.answers for name in ("onnx", "fused"))
    assert one == other


@pytest.mark.slow
def test_a_released_network_is_measured_by_name(scenes, tmp_path):
    out = tmp_path / "result.json"
    options = ("--limit", "2", "--rounds", "1", "--no-cold", "--json", out)
    done = gfnet("bench", "onnx", "mobilenetv3_large_100_p96_T3+fused", "--images", scenes / "val", *options)
    assert done.exit_code == 0, done.output
    (subject,) = read_result(out).networks
    assert (subject.network, subject.layout, subject.name) == (
        "mobilenetv3_large_100_p96_T3",
        "fused",
        "mobilenetv3_large_100_p96_T3-fused",
    )
    assert subject.loop.thresholds is None
    assert subject.reference == "mobilenetv3_large_100@224"
    arguments = ("--images", scenes / "val")
    assert "nor a known network's name" in one_line(gfnet("bench", "onnx", "resnet18_p96_T3", *arguments))
    message = one_line(gfnet("bench", "onnx", "mobilenetv3_large_100_p96_T3:fp8", *arguments))
    assert "no precision 'fp8'" in message
    assert "no such bundle folder" in one_line(gfnet("bench", "onnx", tmp_path / "nothing", *arguments))


@pytest.mark.slow
def test_a_recurrent_network_s_focus_is_timed_for_all_its_steps(scenes, photos, tmp_path):
    bundle = export_onnx(small_checkpoint(scenes / "val", recurrent()), tmp_path / "recurrent")
    result = bench_onnx([target_of(bundle.folder, "r")], first(photos, 2), rounds=2, cold=None)
    assert {graph.name: graph.steady.count for graph in result.subjects[0].subgraphs} == {
        "glance": 4,
        "policy": 8,
        "focus": 8,
    }
    assert result.subjects[0].reference is None
    assert result_table(result)


def test_baselines_of_every_kind_take_part(onnx_bundle, photos, tmp_path):
    asked = ["test_resnet@64", "test_resnet@96", str(onnx_bundle.folder / "glance.onnx")]
    targets = select_targets([onnx_bundle], first(photos, 2), tmp_path, baselines=asked[:2], clock=ticking())
    result = bench_onnx(targets, first(photos, 2), rounds=2, cold=None)
    assert [(subject.name, subject.image_size) for subject in result.classifiers] == [
        ("test_resnet@64", 64),
        ("test_resnet@96", 96),
    ]
    # What a network has to beat is its own backbone on the full image, though another may be faster.
    assert result.networks[0].reference == "test_resnet@96"
    assert result.subject("test_resnet@64").reference == "test_resnet@96"
    classifier = bench_onnx([target_of(Path(asked[2]), "file")], first(photos, 2), rounds=2, cold=None).subjects[0]
    assert (classifier.kind, classifier.image_size, classifier.network) == ("classifier", 40, "glance@40")
    _, found, own = select_targets([onnx_bundle], first(photos, 2), tmp_path, baselines=asked[2:], clock=ticking())
    assert (found.name, found.path, own.name) == ("glance", Path(asked[2]), "test_resnet@96")


@pytest.mark.slow
def test_a_baseline_of_8_bits_is_calibrated_on_the_photos(onnx_bundle, photos, tmp_path):
    targets = select_targets(
        [onnx_bundle], first(photos, 4), tmp_path, baselines=["test_resnet@96:int8"], clock=ticking()
    )
    assert [target.precision for target in targets[1:]] == ["int8", "fp32"]
    assert targets[1].path.stat().st_size < 0.5 * targets[2].path.stat().st_size
    result = bench_onnx(targets, first(photos, 2), rounds=2, cold=None)
    assert result.subjects[1].precision == "int8"


@pytest.mark.slow
def test_a_bundle_of_one_step_is_a_classifier(onnx_bundle, scenes, photos, tmp_path):
    from gfnet.config import model_config

    config = model_config("test_resnet", 96, 1, num_classes=10, image_size=96, crop_ratio=1.0)
    whole = export_onnx(small_checkpoint(scenes / "val", config), tmp_path / "whole")
    # A trained one takes the place of the one with random weights.
    targets = select_targets([onnx_bundle], photos, tmp_path, baselines=[str(whole.folder)], clock=ticking())
    assert [target.name for target in targets] == ["onnx", "whole"]
    measured, subject = bench_onnx(targets, photos, rounds=1, clock=ticking(), cold=None).subjects
    assert (subject.kind, subject.network, len(subject.stops)) == ("classifier", "test_resnet@96", 1)
    assert subject.loop.top1 == pytest.approx(subject.stored_top1[0])
    (match,) = measured.matches
    assert (match.classifier, match.top1) == ("whole", subject.loop.top1)
    assert subject.matches == ()


@pytest.mark.slow
def test_a_trained_baseline_replaces_the_random_one_of_its_precision_only(
    onnx_bundle, checkpoint, scenes, photos, tmp_path
):
    from gfnet.config import model_config

    config = model_config("test_resnet", 96, 1, num_classes=10, image_size=96, crop_ratio=1.0)
    whole = export_onnx(small_checkpoint(scenes / "val", config), tmp_path / "whole")
    large = dataclasses.replace(checkpoint.model.config, num_classes=400)  # heads that are worth 8 bits
    small = export_onnx(Checkpoint(small_network(large)), tmp_path / "small", precision="int8-vectors")
    targets = select_targets([onnx_bundle, small], photos, tmp_path, baselines=[str(whole.folder)], clock=ticking())
    assert [target.name for target in targets] == ["onnx", "small", "whole", "test_resnet@96 int8-vectors"]


@pytest.mark.slow
def test_settings_are_tried_on_each_and_the_fastest_taken(onnx_bundle, photos, tmp_path):
    targets = select_targets([onnx_bundle], photos, tmp_path, threads=(2,), try_settings=True, clock=ticking())
    for target in targets:
        assert len(target.tried) == 4  # two optimisations, spinning or not
        best = min(target.tried, key=lambda tried: tried.typical_ms)
        assert target.settings.named() == best.settings
    result = bench_onnx(targets, first(photos, 2), rounds=2, cold=None)
    assert result.subjects[0].tried == targets[0].tried
    assert "settings tried" in result_table(result)


def test_a_bundle_without_thresholds_runs_all_steps_and_says_so(onnx_bundle, scenes, photos, tmp_path):
    bundle = altered(onnx_bundle, tmp_path / "bare", budgets=[], anytime_top1=[])
    result = bench_onnx([target_of(bundle.folder, "bare")], first(photos, 2), rounds=2, cold=None)
    assert result.subjects[0].loop.thresholds is None
    assert result.subjects[0].curve == ()
    assert "all steps: no thresholds" in result_table(result)
    message = one_line(gfnet("bench", "onnx", bundle.folder, "--images", scenes / "val", "--budget", "5M"))
    assert "no thresholds are stored" in message


def test_unreadable_images_are_listed_and_exit_1(onnx_bundle, odd_images, tmp_path):
    out = tmp_path / "result.json"
    arguments = ("--rounds", "1", "--no-cold", "--json", out)
    done = gfnet("bench", "onnx", onnx_bundle.folder, "--images", odd_images, *arguments)
    assert done.exit_code == 1
    assert len(json.loads(out.read_text())["unreadable"]) == 3
    assert "3 images could not be read" in done.stderr
    assert read_result(out).subjects[0].cold is None


def test_nothing_to_measure_is_refused(onnx_bundle, coreml_bundle, odd_images, scenes, tmp_path):
    (tmp_path / "photos").mkdir()
    shutil.copy(odd_images / "text.jpg", tmp_path / "photos" / "text.jpg")
    arguments = ("bench", "onnx", onnx_bundle.folder)
    assert "none of 1 images could be read" in one_line(gfnet(*arguments, "--images", tmp_path / "photos"))
    (tmp_path / "empty").mkdir()
    assert "no images in this folder" in one_line(gfnet(*arguments, "--images", tmp_path / "empty"))
    arguments = (*arguments, "--images", scenes / "val")
    for option in ("--rounds", "--processes"):
        assert "0 is not in the range x>=1" in gfnet(*arguments, option, "0").stderr
    assert "too few" in one_line(gfnet(*arguments, "--limit", "0"))
    for text in ("0", "x", "1,,2", "-1", "99999999999"):
        assert "give a number from 1 to 1024" in one_line(gfnet(*arguments, "--threads", text))
    assert "not for ONNX Runtime" in one_line(gfnet("bench", "onnx", coreml_bundle.folder, *arguments[3:]))
    assert "no such file, nor BACKBONE@SIZE" in one_line(gfnet(*arguments, "--baseline", "nothing.onnx"))
    assert "no precision 'int3'" in one_line(gfnet(*arguments, "--baseline", "test_resnet@96:int3"))
    policy = onnx_bundle.folder / "policy.onnx"
    assert "takes one float image" in one_line(gfnet(*arguments, "--baseline", policy))
    (tmp_path / "text.onnx").write_text("no graph")
    assert "cannot load it" in one_line(gfnet(*arguments, "--baseline", tmp_path / "text.onnx"))


def test_bundles_of_different_classes_do_not_mix(onnx_bundle, photos, tmp_path):
    labels = [f"another {label}" for label in onnx_bundle.manifest.labels]
    other = altered(onnx_bundle, tmp_path / "other", labels=labels)
    with pytest.raises(DataError, match="have different classes; measure networks of the same classes"):
        bench_onnx([target_of(onnx_bundle.folder, "a"), target_of(other.folder, "b")], first(photos, 1), cold=None)
    targets = select_targets([onnx_bundle, other], first(photos, 1), tmp_path, clock=ticking())
    assert [target.name for target in targets[:2]] == ["onnx", "other"]
    with pytest.raises(DataError, match="two of a, a have the same name"):
        bench_onnx([target_of(onnx_bundle.folder, "a")] * 2, first(photos, 1), cold=None)
