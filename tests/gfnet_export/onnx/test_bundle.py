from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import onnx
import pytest

from gfnet.checkpoint import Checkpoint
from gfnet.inference.images import find_images
from gfnet_export.bundle.reader import open_bundle
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.runtime.onnx_runtime import bundle_predictor
from gfnet_export.verify.report import read_squares
from gfnet_export.verify.verification import verify
from network_support import SMALL, gfnet, one_line, recurrent, slow, small_checkpoint, small_network


def export(checkpoint_file, out, *options):
    result = gfnet("export", "onnx", checkpoint_file, "--out", out, *options)
    assert result.exit_code == 0, result.output
    return open_bundle(out)


@pytest.mark.slow
def test_fp16_and_an_opset_can_be_asked_for(checkpoint_file, onnx_bundle, tmp_path):
    bundle = export(checkpoint_file, tmp_path / "bundle", "--precision", "fp16", "--opset", "20")
    assert (bundle.manifest.precision, bundle.manifest.exporter.libraries["opset"]) == ("fp16", "20")
    assert bundle.bytes < 0.6 * onnx_bundle.bytes
    assert result_of("verify", bundle.folder, "--against", checkpoint_file, "--limit", "6").exit_code == 0


def result_of(*arguments):
    return gfnet(*arguments)


def test_a_fused_step_is_one_call(fused_bundle):
    assert [(graph.name, graph.role, graph.steps) for graph in fused_bundle.manifest.subgraphs] == [
        *(("glance", "glance", (1,)), ("step_2", "step", (2,)), ("step_3", "step", (3,))),
    ]
    graph = onnx.load(fused_bundle.folder / "step_2.onnx").graph
    assert "Slice" in {node.op_type for node in graph.node}
    assert not {"Loop", "If", "Scan", "ScatterND"} & {node.op_type for node in graph.node}


def test_fused_steps_decide_as_split_ones_do(fused_bundle, onnx_bundle, scenes):
    photos = find_images([scenes / "val"])
    for ours, theirs in zip(bundle_predictor(fused_bundle)(photos), bundle_predictor(onnx_bundle)(photos), strict=True):
        assert [step.origin for step in ours.steps] == [step.origin for step in theirs.steps]
        assert [step.class_index for step in ours.steps] == [step.class_index for step in theirs.steps]


@pytest.mark.slow
def test_fused_steps_of_a_recurrent_classifier_are_one_graph(scenes, tmp_path):
    checkpoint = small_checkpoint(scenes / "val", recurrent())
    bundle = export_onnx(checkpoint, tmp_path / "bundle", layout="fused")
    assert [graph.steps for graph in bundle.manifest.subgraphs] == [(1,), (2, 3)]
    squares, _, _ = read_squares(bundle.manifest, scenes / "val", 12)
    assert verify(bundle, checkpoint, squares).failures == ()


def test_a_fused_bundle_verifies(fused_bundle, checkpoint_file, scenes):
    result = result_of("verify", fused_bundle.folder, "--against", checkpoint_file, "--images", scenes / "val")
    assert result.exit_code == 0, result.output
    assert "step_2     new_feature_map" in result.stdout


def test_int8_is_calibrated_listed_and_retuned(checkpoint_file, onnx_bundle, scenes, tmp_path):
    options = ("--precision", "int8", "--calibration", scenes / "train", "--calibration-limit", "16")
    bundle = export(checkpoint_file, tmp_path / "bundle", *options)
    told = bundle.manifest
    assert (told.precision, told.calibration.images, told.calibration.method) == ("int8", 16, "percentile")
    assert {graph.name for graph in told.subgraphs if "policy.actor.0" in graph.float_layers} == {"policy"}
    glance, whole = ((made.folder / "glance.onnx").stat().st_size for made in (bundle, onnx_bundle))
    assert glance < 0.4 * whole  # the policy is as large as it was
    before = [point.thresholds for point in told.budgets]
    found = tmp_path / "found.json"
    result = result_of(
        *("verify", bundle.folder, "--against", checkpoint_file, "--images", scenes / "train", "--retune"),
        *("--json", found),
    )
    # Random weights are no network that 8 bits must do justice to; thresholds change if the gates are passed.
    changed = [point.thresholds for point in open_bundle(bundle.folder).manifest.budgets] != before
    assert (result.exit_code, changed) in ((0, True), (1, False))
    assert json.loads(found.read_text())["decisions"][1]["same_label"] > 0.5


@pytest.mark.slow
def test_vectors_in_8_bits_verify_and_leave_the_policy_alone(scenes, tmp_path):
    checkpoint = Checkpoint(small_network(dataclasses.replace(SMALL, num_classes=400)))
    bundle = export_onnx(checkpoint, tmp_path / "bundle", precision="int8-vectors")
    operators = {
        graph.role: {node.op_type for node in onnx.load(bundle.path_of(graph)).graph.node}
        for graph in bundle.manifest.subgraphs
    }
    assert {role for role, found in operators.items() if "MatMulNBits" in found} == {"glance", "focus"}
    squares, _, _ = read_squares(bundle.manifest, scenes / "val", 12)
    found = verify(bundle, checkpoint, squares)
    assert found.failures == ()
    assert {item.relative < 1e-5 for item in found.differences if item.output == "action"} == {True}


@pytest.mark.slow
def test_weights_stored_in_8_bits_verify(checkpoint_file, scenes, tmp_path):
    bundle = tmp_path / "bundle"
    assert gfnet("export", "onnx", checkpoint_file, "--out", bundle, "--precision", "int8-storage").exit_code == 0
    assert open_bundle(bundle).manifest.precision == "int8-storage"
    photos = next((scenes / "val").iterdir())
    result = gfnet("verify", bundle, "--against", checkpoint_file, "--images", photos)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--precision", "int8"), "int8 needs photos to find the ranges of activations; pass --calibration"),
        slow(("--precision", "int8-heads"), "no classifier here has 32768 weights or more; export it as fp32 or int8"),
        slow(
            ("--precision", "int8-vectors"), "no layer on one vector here has 32768 weights or more; export it as fp32"
        ),
        (("--precision", "int8", "--calibration", "NOWHERE"), "NOWHERE"),
        (("--precision", "int8", "--calibration", "TEXT"), "none of 1 images could be read; the first: "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(checkpoint_file, tmp_path, options, message):
    (tmp_path / "TEXT").mkdir()
    (tmp_path / "TEXT" / "photo.jpg").write_text("no image")
    out = tmp_path / "bundle"
    places = [tmp_path / option if option in ("NOWHERE", "TEXT") else option for option in options]
    assert message in one_line(gfnet("export", "onnx", checkpoint_file, "--out", out, *places))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["TEXT"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--opset", "13"), "13 is not in the range 18<=x<=25"),
        (("--precision", "int4"), "'int4' is not one of"),
        (("--layout", "multifunction"), "'multifunction' is not one of"),
        (("--calibration", "."), "--calibration applies only to --precision int8; leave it out"),
    ],
)
def test_choices_that_do_not_exist_are_refused(checkpoint_file, tmp_path, options, message):
    result = gfnet("export", "onnx", checkpoint_file, "--out", tmp_path / "bundle", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_calibration_images_that_cannot_be_read_are_named(checkpoint_file, scenes, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, photo in enumerate(find_images([scenes / "train"])[:4]):
        (folder / f"{index}.png").write_bytes(Path(photo).read_bytes())
    (folder / "broken.png").write_bytes(b"no image")
    out = tmp_path / "bundle"
    options = ("--precision", "int8", "--calibration", folder)
    result = gfnet("export", "onnx", checkpoint_file, "--out", out, *options)
    assert result.exit_code == 1
    assert "broken.png" in result.stderr
    assert open_bundle(out).manifest.calibration.images == 4
