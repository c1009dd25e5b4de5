from __future__ import annotations

import json

import pytest

from gfnet import shipped
from gfnet.checkpoint import load_checkpoint, save_checkpoint
from gfnet.errors import CheckpointError
from gfnet.shipped import shipped_names, shipped_network
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.selection import open_bundles
from network_support import gfnet, one_line

MEGABYTE = 1024 * 1024


def test_what_is_shipped_is_trained_described_and_small_enough_for_git():
    networks = {name: shipped_network(name) for name in shipped_names()}
    assert "groceries" in networks
    assert sum(path.stat().st_size for path in networks.values()) < 25 * MEGABYTE
    for name, path in networks.items():
        checkpoint = load_checkpoint(name)
        assert len(checkpoint.labels) == checkpoint.model.config.num_classes
        assert not checkpoint.untrained
        card = path.with_suffix(".md").read_text()
        # Its answers after each step and under its budgets were stored with it, and the card says the same.
        for accuracy in checkpoint.evaluation.anytime_top1:
            assert f"{accuracy:.1f}" in card


def test_a_shipped_network_answers_from_the_first_minute(scenes, tmp_path):
    photo = next((scenes / "val").rglob("*.png"))
    assert gfnet("predict", "groceries", photo, "--json", tmp_path / "answer.json").exit_code == 0
    (answer,) = json.loads((tmp_path / "answer.json").read_text())
    assert answer["label"] in load_checkpoint("groceries").labels
    bundle = tmp_path / "bundle"
    assert gfnet("export", "onnx", "groceries", "--out", bundle).exit_code == 0
    assert gfnet("predict", bundle, photo).exit_code == 0


@pytest.fixture
def named(checkpoint, tmp_path, monkeypatch):
    """The small network, shipped as ``scenes``."""
    folder = tmp_path / "networks"
    save_checkpoint(folder / "scenes.safetensors", checkpoint, half=True)
    monkeypatch.setattr(shipped, "_FOLDER", folder)
    return folder / "scenes.safetensors"


def test_a_shipped_network_goes_by_its_name(named, scenes):
    assert shipped_names() == ("scenes",)
    assert shipped_network("scenes") == named
    assert shipped_network("other") is None
    assert load_checkpoint("scenes").labels == load_checkpoint(named).labels
    photo = next((scenes / "val").rglob("*.png"))
    assert "step" in gfnet("predict", "scenes", photo).stdout


def test_a_file_of_that_name_is_meant_and_a_folder_is_not(named, scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").mkdir()  # photos, perhaps
    assert load_checkpoint("scenes").labels is not None
    assert gfnet("predict", "scenes", next((scenes / "val").rglob("*.png"))).exit_code == 0
    (tmp_path / "scenes").rmdir()
    (tmp_path / "scenes").write_bytes(b"no network")
    with pytest.raises(CheckpointError):
        load_checkpoint("scenes")


def test_another_name_is_refused_with_those_that_there_are(named, scenes):
    photo = next((scenes / "val").rglob("*.png"))
    assert "other: no such file, nor an included network (scenes)" in one_line(gfnet("predict", "other", photo))


def test_a_benchmark_exports_it_by_name(named, scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").mkdir()
    (bundle,) = open_bundles(["scenes:fp16"], Photos([]), tmp_path / "out")
    assert bundle.manifest.precision == "fp16"
    assert bundle.manifest.labels == load_checkpoint(named).labels
