from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gfnet.errors import BundleError
from gfnet_export import manifest
from gfnet_export.bundle import MANIFEST, open_bundle
from network_support import gfnet, one_line

SCHEMA = Path(manifest.__file__).with_name("manifest.schema.json")


@pytest.fixture
def copy(onnx_bundle, tmp_path):
    return shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")


def edit(folder, **changes):
    content = json.loads((folder / MANIFEST).read_text())
    content.update(changes)
    (folder / MANIFEST).write_text(json.dumps(content))


def test_the_committed_schema_is_the_model_s():
    assert SCHEMA.read_text() == manifest.schema_text(), "run `make schema`"


def test_the_manifest_tells_all_that_a_runtime_needs(onnx_bundle, checkpoint):
    told, config = onnx_bundle.manifest, checkpoint.model.config
    assert (told.architecture, told.patch_size, told.steps) == (config.arch, config.patch_size, config.steps)
    assert told.labels == checkpoint.labels
    assert told.preprocessing.image_size == config.image_size
    assert told.preprocessing.mean == config.mean
    assert told.step_macs == checkpoint.evaluation.macs
    assert [budget.thresholds for budget in told.budgets] == [p.thresholds for p in checkpoint.evaluation.budgeted]
    assert {graph.name for graph in told.subgraphs} == {"glance", "policy", "focus_2", "focus_3"}
    assert told.exporter.libraries["opset"] == "18"


def test_a_bundle_holds_its_files_and_nothing_else(onnx_bundle):
    named = {name for graph in onnx_bundle.manifest.subgraphs for name in graph.sha256}
    found = {
        path.relative_to(onnx_bundle.folder).as_posix() for path in onnx_bundle.folder.rglob("*") if path.is_file()
    }
    assert found == named | {MANIFEST}


def test_an_altered_file_is_refused_by_name(copy):
    path = copy / "glance.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"glance\.onnx: differs from the manifest"):
        open_bundle(copy)


def test_a_half_copied_bundle_is_refused_by_name(copy):
    (copy / "focus_3.onnx").unlink()
    with pytest.raises(BundleError, match=r"focus_3\.onnx: named in the manifest, but missing"):
        open_bundle(copy)


def test_a_future_version_is_refused_with_both_numbers(copy):
    edit(copy, schema_version=2)
    with pytest.raises(BundleError, match="schema version 2, but this release reads 1"):
        open_bundle(copy)


@pytest.mark.parametrize("path", ["../glance.onnx", "/etc/passwd", "a/../../b", "C:\\x", "..\\x"])
def test_paths_that_leave_the_bundle_are_refused(copy, path):
    subgraphs = json.loads((copy / MANIFEST).read_text())["subgraphs"]
    subgraphs[0]["path"] = path
    edit(copy, subgraphs=subgraphs)
    with pytest.raises(BundleError, match="leaves the bundle"):
        open_bundle(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 4}, "step_macs has 3 values for 4 steps"),
        ({"labels": ["one"]}, "1 labels for 10 classes"),
        ({"patch_size": 0}, "patch_size"),
        ({"subgraphs": []}, "step 1 needs one glance subgraph, found 0"),
        ({"step_macs": [1.0, 2.0, float("nan")]}, "step_macs"),
        ({"extra": 1}, "extra"),
    ],
)
def test_an_inconsistent_manifest_is_refused(copy, changes, message):
    edit(copy, **changes)
    with pytest.raises(BundleError, match=message):
        open_bundle(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"schema_version": "1"}'])
def test_a_manifest_that_is_none_is_refused(copy, text):
    (copy / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match="manifest"):
        open_bundle(copy)


def test_folders_without_a_manifest_are_no_bundles(tmp_path, odd_images):
    assert "no manifest.json" in one_line(gfnet("predict", tmp_path, odd_images))
    assert "no such bundle folder" in one_line(gfnet("bench", "onnx", tmp_path / "none", "--images", odd_images))
