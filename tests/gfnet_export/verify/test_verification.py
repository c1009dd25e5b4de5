from __future__ import annotations

import copy
import dataclasses
import json
import shutil

import numpy as np
import onnx
import pytest
import torch

from gfnet.checkpoint import save_checkpoint
from gfnet.checkpoint.predictor import torch_predictor
from gfnet.evaluation import find_thresholds
from gfnet.inference.exits import ALWAYS, NEVER
from gfnet.inference.images import Preprocessing, find_images
from gfnet.loading import load
from gfnet_export.bundle.manifest import preprocessing_of
from gfnet_export.bundle.reader import MANIFEST, open_bundle, sha256_of
from gfnet_export.coreml.macos import is_macos
from gfnet_export.onnx.precision import to_fp16
from gfnet_export.verify.differences import DifferenceMeter
from gfnet_export.verify.gates import GATES
from gfnet_export.verify.overflow import watch_overflow
from gfnet_export.verify.report import read_squares, verification_table
from gfnet_export.verify.verification import Finding, expected_manifest, other_values, verify
from manifest_support import rewrite, stored
from network_support import SMALL, gfnet, one_line, recurrent, small_checkpoint, small_network


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


def test_too_few_photos_are_no_failure_and_it_is_said_how_many_would_do(
    coreml_bundle, checkpoint_file, scenes, tmp_path
):
    result = gfnet(
        *("verify", coreml_bundle.folder, "--against", checkpoint_file, "--images", scenes / "val", "--limit", "8"),
        *("--json", tmp_path / "found.json"),
    )
    assert result.exit_code == 0, result.output
    line = "UNDECIDED  MIL: 100.00% of 8 give the same label: too few to tell it from 99.5%; about 59 images would do"
    assert line in result.stdout
    assert result.stdout.splitlines()[-1].startswith("undecided; the gates were: ")
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["outcome"], found["failures"]) == ("undecided", [])
    assert {"runtime": "MIL", "what": line.removeprefix("UNDECIDED  MIL: ")} in found["undecided"]


def test_accuracy_is_that_of_the_answers_where_images_stop(onnx_bundle, checkpoint, scenes, squares):
    thresholds = checkpoint.evaluation.budgeted[20].thresholds
    found = verify(onnx_bundle, checkpoint, squares[0], thresholds=thresholds, labels=squares[1])
    traces = torch_predictor(checkpoint)([np.asarray(square) for square in squares[0]], thresholds)
    right = [trace.class_index == label for trace, label in zip(traces, squares[1], strict=True)]
    assert found.decisions[0].top1 == pytest.approx(100 * np.mean(right))


def altered(bundle, folder, weights, precision="fp32"):
    """A copy of an ONNX bundle with other weights, and digests that hold.

    Args:
        weights: called with the name and the value of every weight of every subgraph; gives its new value.
        precision: ``fp16``: rounds the altered subgraphs as the export does.
    """
    shutil.copytree(bundle.folder, folder)
    content = stored(folder)
    for graph in content["subgraphs"]:
        path = folder / graph["path"]
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            value = onnx.numpy_helper.to_array(tensor)
            if value.dtype == np.float32:
                new = np.asarray(weights(graph["name"], tensor.name, value), np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(new, tensor.name))
        onnx.save(model if precision == "fp32" else to_fp16(model), path)
        graph["sha256"] = {graph["path"]: sha256_of(path)}
    rewrite(folder, {**content, "precision": precision})
    return open_bundle(folder)


@pytest.fixture(scope="module")
def other(onnx_bundle, tmp_path_factory):
    """A bundle of the same network with slightly different weights, as a wrong conversion would give."""
    return altered(
        onnx_bundle,
        tmp_path_factory.mktemp("other") / "bundle",
        lambda graph, _, value: value * (1.02 if graph.startswith("focus") and value.ndim == 4 else 1),
    )


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
    traces = load(folder)(find_images([scenes / "train"]), None)
    confidence = np.array([[step.confidence for step in trace.steps] for trace in traces], np.float32).T
    predictions = dataclasses.make_dataclass("Confidences", ["confidence"])(confidence)
    thresholds, _ = find_thresholds(predictions, changed.manifest.step_macs)
    np.testing.assert_allclose([point.thresholds for point in changed.manifest.budgets], thresholds, rtol=1e-6)
    before = [point.thresholds for point in onnx_bundle.manifest.budgets]
    assert before != [point.thresholds for point in changed.manifest.budgets]
    assert all(point.top1 is not None for point in changed.manifest.budgets)
    assert changed.manifest.subgraphs == onnx_bundle.manifest.subgraphs


def edited(manifest, path, value):
    """A manifest with one value altered; ``path`` leads to it."""
    content = copy.deepcopy(manifest)
    *way, last = path
    place = content
    for key in way:
        place = place[key]
    place[last] = value
    return content


OTHER_VALUES = {
    "resize_size": (("preprocessing", "resize_size"), 97, "resize_size is 97 in the bundle, 96 in the checkpoint"),
    "interpolation": (
        ("preprocessing", "interpolation"),
        "bicubic",
        "interpolation is bicubic in the bundle, bilinear in the checkpoint",
    ),
    "glance's": (
        ("preprocessing", "glance_interpolation"),
        "bilinear",
        "glance_interpolation is bilinear in the bundle, bicubic in the checkpoint",
    ),
    "mean": (("preprocessing", "mean", 1), 0.5, "mean[1] is 0.5 in the bundle, 0.456 in the checkpoint"),
    "std": (("preprocessing", "std", 2), 0.2, "std[2] is 0.2 in the bundle, 0.225 in the checkpoint"),
    "architecture": (("architecture",), "resnet50", "architecture is resnet50 in the bundle, test_resnet in the"),
    "label": (("labels", 3), "a\u202eb", "labels[3] is a\\u202eb in the bundle, "),
    "no labels": (("labels",), None, "labels is unknown in the bundle, 10 values in the checkpoint"),
    "cost": (("step_macs", 0), 1.0, "step_macs[0] is 1.0 in the bundle, "),
}
THRESHOLDS = {
    "threshold": (("budgets", 4, "thresholds", 1), 0.125, "budgets[4].thresholds[1] is 0.125 in the bundle, "),
    "claimed accuracy": (("anytime_top1", 2), 99.5, "anytime_top1[2] is 99.5 in the bundle, "),
}


@pytest.mark.parametrize("sealed", [True, False], ids=["digest made anew", "digest left"])
@pytest.mark.parametrize(("path", "value", "told"), OTHER_VALUES.values(), ids=OTHER_VALUES)
def test_a_bundle_that_says_otherwise_is_another_network(
    path, value, told, sealed, onnx_bundle, checkpoint_file, tmp_path
):
    folder = shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")
    if sealed:
        rewrite(folder, edited(stored(folder), path, value))
    else:
        content = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps(edited(content, path, value)))
    result = gfnet("verify", folder, "--against", checkpoint_file, "--limit", "2", "--json", tmp_path / "found.json")
    assert result.exit_code == 1, result.output
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"not the same network: {told}")
    assert ("manifest.json altered since it was written" in line) == (not sealed)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["outcome"] == "failed"
    assert [text.startswith(told) for text in found["other_values"]] == [True]


@pytest.mark.parametrize(("path", "value", "told"), THRESHOLDS.values(), ids=THRESHOLDS)
def test_thresholds_may_be_found_anew_but_not_altered(path, value, told, onnx_bundle, checkpoint, tmp_path):
    folder = shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")
    content = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(edited(content, path, value)))
    (text,) = other_values(open_bundle(folder, manifest_digest=False), checkpoint)
    assert text.startswith(told)
    rewrite(folder, edited(stored(folder), path, value))  # as --retune does
    assert list(other_values(open_bundle(folder), checkpoint)) == []


def test_every_value_that_differs_is_told_with_both(onnx_bundle, checkpoint, tmp_path):
    folder = shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")
    content = stored(folder)
    content["preprocessing"] |= {"resize_size": 100, "interpolation": "bicubic"}
    content["labels"] = content["labels"][::-1]
    rewrite(folder, content)
    told = list(other_values(open_bundle(folder), checkpoint))
    assert [text.split(" ")[0] for text in told] == ["labels[0]", "resize_size", "interpolation"]
    assert told[0].endswith(", and 9 more of labels")


def test_a_digest_that_alone_is_wrong_fails(onnx_bundle, checkpoint_file, tmp_path):
    folder = shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"opset": "18"', '"opset": "19"'))
    result = gfnet("verify", folder, "--against", checkpoint_file, "--limit", "3")
    assert result.exit_code == 1
    assert "FAILED  manifest.json: altered since it was written, by its own digest" in result.stdout


def test_other_pixels_inside_the_subgraphs_are_noticed_where_they_are(onnx_bundle, checkpoint, squares, tmp_path):
    bundle = altered(
        onnx_bundle,
        tmp_path / "bundle",
        lambda _graph, _name, value: value * (1.2 if value.shape == (1, 3, 1, 1) else 1),  # mean and std
    )
    found = verify(bundle, checkpoint, squares[0][:2])
    assert found.other_values == ()
    far = {failure.what.split(":")[0] for failure in found.failures if "differs by" in failure.what}
    assert {"glance, logits", "focus_2, logits", "focus_3, logits"} <= far


def test_photos_become_squares_as_the_checkpoint_says(onnx_bundle, checkpoint):
    other = copy.deepcopy(checkpoint)
    other.model.config = dataclasses.replace(SMALL, interpolation="bicubic", crop_ratio=0.5)
    expected = expected_manifest(onnx_bundle, other)
    assert preprocessing_of(expected) == Preprocessing.of(other.model.config) != preprocessing_of(onnx_bundle.manifest)
    assert expected.subgraphs == onnx_bundle.manifest.subgraphs


def test_another_network_is_told_before_anything_runs(onnx_bundle, checkpoint_file, scenes, tmp_path):
    save_checkpoint(
        tmp_path / "longer.safetensors", small_checkpoint(scenes / "val", dataclasses.replace(SMALL, steps=4))
    )
    result = gfnet("verify", onnx_bundle.folder, "--against", tmp_path / "longer.safetensors", "--limit", "1")
    assert result.exit_code == 1
    assert "not the same network: steps is 3 in the bundle, 4 in the checkpoint; step_macs is 3 values" in result.stdout


def test_another_kind_of_classifier_is_told_by_its_tensors(onnx_bundle, checkpoint, scenes):
    told = list(other_values(onnx_bundle, dataclasses.replace(checkpoint, model=small_network(recurrent()))))
    assert told
    assert all("memory" in text or "focus" in text for text in told)


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


def overflowing(checkpoint, part):
    """A network whose ``part`` gives infinity in float32, though every weight is finite."""
    broken = copy.deepcopy(checkpoint)
    with torch.no_grad():
        broken.model.get_parameter(part).fill_(3e38)
    return broken


@pytest.fixture(scope="module")
def infinite(onnx_bundle, tmp_path_factory):
    """A bundle whose glance gives infinity, and whose policy NaN, though every weight is finite."""
    return altered(
        onnx_bundle,
        tmp_path_factory.mktemp("infinite") / "bundle",
        lambda graph, _, value: np.full_like(value, 3e38) if graph == "glance" and value.shape[:1] == (10,) else value,
    )


def test_a_bundle_that_gives_infinity_fails_with_a_table(infinite, checkpoint, squares):
    found = verify(infinite, checkpoint, squares[0][:2])
    assert Finding("ONNX Runtime", "step 1 gives infinite logits for image 1") in found.failures
    assert any(failure.what.startswith("glance, logits: differs by inf") for failure in found.failures)
    assert [row.runtime for row in found.decisions] == ["torch"]
    assert found.confidence is None
    assert '"largest": null' in json.dumps(found.to_dict(), allow_nan=False)
    assert "FAILED  ONNX Runtime: step 1 gives infinite logits" in verification_table(found)


def test_a_bundle_whose_policy_gives_nan_fails(onnx_bundle, checkpoint, squares, tmp_path):
    def weights(graph, _, value):
        return value * np.nan if graph == "policy" and value.shape == (2,) else value

    found = verify(altered(onnx_bundle, tmp_path / "bundle", weights), checkpoint, squares[0][:2])
    assert Finding("ONNX Runtime", "step 2 gives NaN actions for image 1") in found.failures


def test_a_checkpoint_that_is_broken_itself_is_one_line(checkpoint, onnx_bundle, tmp_path):
    path = tmp_path / "broken.safetensors"
    save_checkpoint(path, overflowing(checkpoint, "classifier.fc_2.weight"))
    line = one_line(gfnet("verify", onnx_bundle.folder, "--against", path, "--limit", "2"))
    assert "step 2 gives infinite logits for image 1" in line


def test_all_steps_means_that_nobody_stops_early(onnx_bundle, checkpoint_file, tmp_path):
    out = tmp_path / "found.json"
    options = ("--limit", "3", "--all-steps", "--json", out)
    assert gfnet("verify", onnx_bundle.folder, "--against", checkpoint_file, *options).exit_code == 0
    thresholds = json.loads(out.read_text())["thresholds"]
    assert thresholds[:2] == [NEVER, NEVER]
    assert thresholds[2] == ALWAYS


def test_values_beyond_float16_are_a_failure_even_where_the_runtime_hides_them(
    onnx_bundle, checkpoint, squares, tmp_path
):
    loud = copy.deepcopy(checkpoint)
    with torch.no_grad():
        loud.model.global_encoder.net.fc.weight.mul_(1e4)

    def weights(graph, _, value):
        return value * (1e4 if graph == "glance" and value.ndim == 2 else 1)

    found = verify(altered(onnx_bundle, tmp_path / "bundle", weights, "fp16"), loud, squares[0][:2])
    assert any("glance, logits: reaches" in failure.what for failure in found.failures)
    assert any(
        failure.what.startswith("glance, the first value that float16 cannot hold: Gemm ") for failure in found.failures
    )


def test_an_overflow_that_no_output_shows_is_named_by_its_operation(onnx_bundle, checkpoint, squares, tmp_path):
    def weights(graph, _, value):
        if graph != "policy" or value.ndim < 2:
            return value
        # What the first layer gives is taken back by the second: in float32 nothing changes.
        return value * (2e5 if value.ndim == 4 else 1 / 2e5 if value.shape[-1] == 128 else 1)

    found = verify(altered(onnx_bundle, tmp_path / "bundle", weights, "fp16"), checkpoint, squares[0][:2])
    (first,) = [failure.what for failure in found.failures if "float16 cannot hold" in failure.what]
    assert first.startswith("policy, the first value that float16 cannot hold: Conv '")


def test_a_core_ml_package_s_overflow_is_named_by_the_interpreter(coreml_bundle, checkpoint, squares):
    loud = copy.deepcopy(checkpoint)
    with torch.no_grad():
        *_, last = (m for m in loud.model.global_encoder.modules() if isinstance(m, torch.nn.BatchNorm2d))
        last.weight.mul_(1e7)
    found = verify(coreml_bundle, loud, squares[0][:1])
    assert any(
        failure.what.startswith("policy, the first value that float16 cannot hold: cast 'feature_map_to_fp16' reaches")
        for failure in found.failures
    )


def test_bundles_of_wider_numbers_are_not_watched(onnx_bundle):
    assert watch_overflow(onnx_bundle, {}) == []


def test_what_was_never_compared_is_a_failure(checkpoint, fused_bundle, squares):
    other = copy.deepcopy(checkpoint)
    with torch.no_grad():
        other.model.policy.actor[0].bias.add_(10)
    found = verify(fused_bundle, other, squares[0][:2])
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
