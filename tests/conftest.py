"""Fixtures that several test files share."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

from pathlib import Path

import pytest

from gfnet.checkpoint import Checkpoint, save_checkpoint
from gfnet.data.synth import SceneConfig, write_scenes
from gfnet_export.bundle.reader import Bundle
from gfnet_export.coreml.bundle import export_coreml
from gfnet_export.onnx.bundle import export_onnx
from golden_support import RELEASED_NAMES, GoldenRun, golden_run
from network_support import small_checkpoint, write_odd_images


@pytest.hookimpl
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one file in one worker, and those that look at the released networks in another.

    What a file's fixtures make is then made once, and each released network is run once.
    """
    for item in items:
        together = "released" if "released" in getattr(item, "fixturenames", ()) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(together))


@pytest.fixture(scope="session", params=RELEASED_NAMES)
def released(request: pytest.FixtureRequest) -> GoldenRun:
    """Each released network in turn, run once on the golden images for all tests that look at it."""
    return golden_run(request.param)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of generated scenes: 60 to train on, 40 to validate on."""
    root = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(root, train=60, val=40, seed=5, config=SceneConfig(size=96))
    return root


@pytest.fixture(scope="session")
def checkpoint(scenes: Path) -> Checkpoint:
    """A small network with stored thresholds."""
    return small_checkpoint(scenes / "val")


@pytest.fixture(scope="session")
def checkpoint_file(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on disk."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_checkpoint(path, checkpoint)
    return path


@pytest.fixture(scope="session")
def onnx_bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same as an ONNX bundle; tests that alter it copy it first."""
    return export_onnx(checkpoint, tmp_path_factory.mktemp("bundles") / "onnx")


@pytest.fixture(scope="session")
def fused_bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with one graph a step."""
    return export_onnx(checkpoint, tmp_path_factory.mktemp("bundles") / "fused", layout="fused")


@pytest.fixture(scope="session")
def coreml_bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same as a Core ML bundle."""
    return export_coreml(checkpoint, tmp_path_factory.mktemp("bundles") / "coreml")


@pytest.fixture(scope="session")
def coreai_bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same as a Core AI bundle, where Apple's packages are installed."""
    pytest.importorskip("coreai_torch", reason="Apple's Core AI has no wheel here, or is not installed")
    from gfnet_export.coreai.bundle import export_coreai

    return export_coreai(checkpoint, tmp_path_factory.mktemp("bundles") / "coreai")


@pytest.fixture(scope="session")
def odd_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of every kind, some of which nobody can read."""
    folder = tmp_path_factory.mktemp("odd")
    write_odd_images(folder)
    return folder
