from __future__ import annotations

import json
import shutil

import pytest

import gfnet as package
from gfnet import shipped
from gfnet.checkpoint import load_checkpoint, save_checkpoint
from gfnet.errors import CheckpointError
from gfnet.shipped import checkpoint_path, shipped_bundle, shipped_names, shipped_weights
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.selection import open_bundles
from gfnet_export.bundle.reader import open_bundle
from network_support import gfnet, one_line


def test_what_is_shipped_is_trained_and_described():
    assert "groceries" in shipped_names()
    for name in shipped_names():
        weights = load_checkpoint(name)
        manifest = open_bundle(shipped_bundle(name)).manifest
        assert not weights.untrained
        # The bundle is made of these weights.
        assert manifest.labels == weights.labels
        assert manifest.anytime_top1 == weights.evaluation.anytime_top1
        assert manifest.budgets == weights.evaluation.budgeted
        card = shipped_bundle(name).with_suffix(".md").read_text()
        for accuracy in manifest.anytime_top1:
            assert f"{accuracy:.1f}" in card


def test_a_shipped_network_answers_as_its_weights_do(scenes, tmp_path):
    photo = next((scenes / "val").rglob("*.png"))
    assert gfnet("predict", "groceries", photo, "--all-steps", "--logits", "--json", tmp_path / "1.json").exit_code == 0
    weights = shipped_weights("groceries")
    assert gfnet("predict", weights, photo, "--all-steps", "--logits", "--json", tmp_path / "2.json").exit_code == 0
    ours, theirs = (json.loads((tmp_path / name).read_text())[0] for name in ("1.json", "2.json"))
    # The glance alone: later steps may look some pixels elsewhere, as the weights are rounded.
    first, second = ours["steps"][0]["logits"], theirs["steps"][0]["logits"]
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) < 0.15 * max(map(abs, second))


@pytest.fixture
def named(checkpoint, onnx_bundle, tmp_path, monkeypatch):
    """The small network, shipped as ``scenes`` from a checkout in a temporary folder; the path of its weights."""
    folder = tmp_path / "checkout" / "gfnet" / "shipped"
    shutil.copytree(onnx_bundle.folder, folder / "scenes")
    monkeypatch.setattr(shipped, "_FOLDER", folder)
    save_checkpoint(shipped_weights("scenes"), checkpoint, half=True)
    return shipped_weights("scenes")


def test_a_shipped_network_goes_by_its_name(named, scenes):
    assert shipped_names() == ("scenes",)
    assert shipped_bundle("scenes") == named.parents[3] / "gfnet" / "shipped" / "scenes"
    assert shipped_bundle("other") is None
    assert checkpoint_path("scenes") == named
    assert load_checkpoint("scenes").labels == load_checkpoint(named).labels
    photo = next((scenes / "val").rglob("*.png"))
    assert "step" in gfnet("predict", "scenes", photo).stdout
    told = gfnet("info", "scenes").stdout
    assert "onnx, fp32, layout split" in told
    assert f"trained weights      {named}\n" in told


def test_where_the_weights_are_missing_it_is_said_where_they_are(named, scenes):
    named.unlink()
    photo = next((scenes / "val").rglob("*.png"))
    assert gfnet("predict", "scenes", photo).exit_code == 0
    assert "trained weights" not in gfnet("info", "scenes").stdout
    line = one_line(gfnet("evaluate", "scenes", "--data", scenes))
    assert "scenes: this needs its trained weights, benchmark/results/scenes/model.safetensors in the project's" in line


def test_a_file_of_that_name_is_meant_and_a_folder_is_not(named, scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").mkdir()  # photos, perhaps
    assert load_checkpoint("scenes").labels is not None
    assert gfnet("predict", "scenes", next((scenes / "val").rglob("*.png"))).exit_code == 0
    (tmp_path / "scenes").rmdir()
    (tmp_path / "scenes").write_bytes(b"no network")
    with pytest.raises(CheckpointError):
        load_checkpoint("scenes")
    with pytest.raises(CheckpointError):
        package.load("scenes")


def test_another_name_is_refused_with_those_that_there_are(named, scenes):
    photo = next((scenes / "val").rglob("*.png"))
    for command in (("predict", "other", photo), ("info", "other"), ("evaluate", "other", "--data", scenes)):
        assert "other: no such file, nor an included network (scenes)" in one_line(gfnet(*command))


@pytest.mark.slow
def test_a_benchmark_takes_it_by_name_and_exports_other_forms(named, scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").mkdir()
    whole, half = open_bundles(["scenes", "scenes:fp16"], Photos([]), tmp_path / "out")
    assert whole.folder == shipped_bundle("scenes")
    assert half.manifest.precision == "fp16"
    assert half.manifest.labels == whole.manifest.labels
