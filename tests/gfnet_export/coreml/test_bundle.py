from __future__ import annotations

import copy
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch

from gfnet.checkpoint.predictor import torch_predictor
from gfnet.errors import ExportError
from gfnet.inference.images import find_images
from gfnet_export.bundle.reader import open_bundle
from gfnet_export.coreml.bundle import export_coreml
from gfnet_export.mil.package import read_package
from gfnet_export.mil.session import mil_predictor
from gfnet_export.verify.gates import GATES
from gfnet_export.verify.report import read_squares
from gfnet_export.verify.verification import verify
from manifest_support import rewrite, stored
from network_support import gfnet, one_line, recurrent, small_checkpoint


def description(path):
    return ct.models.MLModel(str(path), skip_model_load=True).get_spec().description


def test_pixels_go_in_as_a_camera_gives_them(coreml_bundle):
    for name, feature in (("focus_2", "patch"), ("focus_3", "patch")):
        (graph,) = [graph for graph in coreml_bundle.manifest.subgraphs if graph.name == name]
        (spec,) = [spec for spec in graph.inputs if spec.name == feature]
        assert (spec.kind, spec.dtype, spec.shape) == ("image", "uint8", (1, 3, 40, 40))
        (found,) = [f for f in description(coreml_bundle.path_of(graph)).input if f.name == feature]
        image = found.type.imageType
        assert (image.width, image.height) == (40, 40)
        assert image.colorSpace == ct.proto.FeatureTypes_pb2.ImageFeatureType.ColorSpace.Value("RGB")


@pytest.mark.slow
def test_which_inputs_are_pictures_can_be_chosen(checkpoint, scenes, tmp_path):
    photos = find_images([scenes / "val"])[:4]
    expected = torch_predictor(checkpoint)(photos)
    errors = {}
    kinds = {}
    for pictures in ("patches", "all", "none"):
        bundle = export_coreml(checkpoint, tmp_path / pictures, precision="fp32", pictures=pictures)
        kinds[pictures] = {spec.name for g in bundle.manifest.subgraphs for spec in g.inputs if spec.kind == "image"}
        found = mil_predictor(bundle)(photos)
        errors[pictures] = max(
            np.abs(ours.steps[0].logits - theirs.steps[0].logits).max() / np.abs(theirs.steps[0].logits).max()
            for ours, theirs in zip(found, expected, strict=True)
        )
    assert kinds == {"patches": {"patch"}, "all": {"patch", "image"}, "none": set()}
    assert errors["none"] == errors["patches"] < 1e-5 < errors["all"] < 0.02


@pytest.fixture(scope="module")
def joined(checkpoint_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("joined") / "bundle"
    result = gfnet("export", "coreml", checkpoint_file, "--out", out, "--layout", "multifunction")
    assert result.exit_code == 0, result.output
    return open_bundle(out)


def test_focus_steps_are_functions_of_one_package(joined, coreml_bundle):
    assert [(graph.name, graph.path, graph.function) for graph in joined.manifest.subgraphs] == [
        ("glance", "glance.mlpackage", None),
        ("policy", "policy.mlpackage", None),
        ("focus_2", "focus.mlpackage", "focus_2"),
        ("focus_3", "focus.mlpackage", "focus_3"),
    ]
    assert (joined.manifest.layout, joined.manifest.exporter.libraries["target"]) == ("multifunction", "iOS18")
    assert sorted(path.name for path in joined.folder.iterdir()) == [
        *(".gfnet.json", "focus.mlpackage", "glance.mlpackage", "manifest.json", "policy.mlpackage"),
    ]
    encoder = (coreml_bundle.folder / "focus_2.mlpackage/Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    assert joined.bytes < coreml_bundle.bytes - 0.8 * encoder  # kept once


def test_the_joined_package_still_says_what_it_is(joined, checkpoint):
    told = description(joined.folder / "focus.mlpackage")
    assert [function.name for function in told.functions] == ["focus_2", "focus_3"]
    for function in told.functions:
        assert all(feature.shortDescription for feature in (*function.input, *function.output))
    assert json.loads(told.metadata.userDefined["labels"]) == list(checkpoint.labels)
    assert told.metadata.license == "Apache-2.0"


def test_a_joined_package_computes_what_single_ones_do(joined, checkpoint, scenes):
    squares, _, _ = read_squares(joined.manifest, scenes / "val", 4)
    found = verify(joined, checkpoint, squares)
    assert {item.subgraph for item in found.differences} == {"glance", "policy", "focus_2", "focus_3"}
    assert max(item.relative for item in found.differences) < GATES["fp16"].difference


@pytest.mark.slow
def test_one_focus_step_needs_no_joining(scenes, tmp_path):
    bundle = export_coreml(small_checkpoint(scenes / "val", recurrent()), tmp_path / "bundle", layout="multifunction")
    assert [(graph.path, graph.function) for graph in bundle.manifest.subgraphs][-1] == ("focus.mlpackage", "focus")
    assert "focus" in read_package(bundle.folder / "focus.mlpackage").functions


def test_a_target_that_is_too_old_is_refused(checkpoint_file, tmp_path):
    out = tmp_path / "bundle"
    options = ("--layout", "multifunction", "--target", "iOS16")
    assert "need iOS18, not iOS16; leave --target out" in one_line(
        gfnet("export", "coreml", checkpoint_file, "--out", out, *options)
    )
    assert not out.exists()


def test_a_function_that_is_not_there_is_refused(joined, odd_images, tmp_path):
    folder = shutil.copytree(joined.folder, tmp_path / "bundle")
    content = stored(folder)
    content["subgraphs"][2]["function"] = "focus_9"
    rewrite(folder, content)
    assert "no function 'focus_9'; it has focus_2, focus_3" in one_line(gfnet("predict", folder, odd_images))


def test_a_manifest_that_calls_pixels_a_picture_is_refused(joined, odd_images, tmp_path):
    folder = shutil.copytree(joined.folder, tmp_path / "bundle")
    content = stored(folder)
    (spec,) = content["subgraphs"][0]["inputs"]
    spec.update(kind="image", dtype="uint8")
    rewrite(folder, content)
    assert "its tensors are not those of the manifest" in one_line(gfnet("predict", folder, odd_images))


@pytest.mark.slow
def test_the_listing_names_every_package_once(checkpoint_file, tmp_path):
    result = gfnet("export", "coreml", checkpoint_file, "--out", tmp_path / "b", "--layout", "multifunction")
    assert result.stdout.count("focus.mlpackage") == 1
    assert "focus of step 2,3" in result.stdout


@pytest.mark.slow
def test_nothing_is_left_in_the_temporary_folder(checkpoint, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    export_coreml(checkpoint, tmp_path / "bundle", compression="int8", layout="multifunction")
    assert not [path for path in scratch.iterdir() if path.suffix == ".mlpackage"]
    assert tempfile.tempdir == str(scratch)


def test_weights_that_are_no_numbers_are_named_before_anything_is_written(checkpoint, tmp_path):
    broken = copy.deepcopy(checkpoint)
    with torch.no_grad():
        broken.model.policy.actor[0].bias[0] = float("nan")
    with pytest.raises(ExportError, match=r"policy\.actor\.0\.bias: has values that are NaN or infinite"):
        export_coreml(broken, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_stopped_export_leaves_nothing(checkpoint_file, tmp_path):
    out = tmp_path / "out" / "bundle"
    command = [Path(sys.executable).with_name("gfnet"), "export", "coreml", checkpoint_file, "--out", out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(out.parent.glob(".bundle.*/*.mlpackage")):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "gfnet: stopped by SIGTERM; nothing half-written is left" in errors
    assert "Traceback" not in errors
    assert not list(out.parent.iterdir())
