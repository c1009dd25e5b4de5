from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from gfnet.errors import BundleError
from gfnet_export.bundle.reader import sha256_of
from manifest_support import rewrite, stored
from network_support import gfnet, one_line

pytest.importorskip("coreai", reason="Apple's Core AI has no wheel here, or is not installed")

from gfnet_export.runtime.core_ai import CoreAISession, core_ai_predictor


@pytest.fixture
def asset(coreai_bundle, tmp_path):
    """A copy of a policy, to be damaged."""
    return shutil.copytree(coreai_bundle.folder / "policy.aimodel", tmp_path / "policy.aimodel")


@pytest.fixture
def folder(coreai_bundle, tmp_path):
    """A copy of the bundle, likewise."""
    return shutil.copytree(coreai_bundle.folder, tmp_path / "bundle")


def halve(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_a_damaged_file_is_refused_by_its_digest(folder, odd_images):
    halve(folder / "glance.aimodel" / "main.mlirb")
    assert "main.mlirb: differs from the manifest's digest" in one_line(gfnet("predict", folder, odd_images))


def test_a_program_cut_short_is_refused_before_the_runtime_sees_it(asset):
    halve(asset / "main.mlirb")
    with pytest.raises(BundleError, match="its program is damaged"):
        CoreAISession(asset)
    (asset / "main.mlirb").unlink()
    with pytest.raises(BundleError, match="not a Core AI asset"):
        CoreAISession(asset)


def test_metadata_that_is_damaged_is_refused(asset):
    (asset / "metadata.json").write_text("{")
    with pytest.raises(BundleError, match="Core AI cannot load it"):
        CoreAISession(asset)


def test_a_later_version_is_refused(asset):
    told = json.loads((asset / "metadata.json").read_text())
    (asset / "metadata.json").write_text(json.dumps({**told, "assetVersion": "9.0"}))
    with pytest.raises(BundleError, match=r'Core AI cannot load it \(Asset version "9\.0" is not supported\)'):
        CoreAISession(asset)


def test_assets_that_changed_places_are_refused(folder, odd_images):
    (folder / "glance.aimodel").rename(folder / "other")
    (folder / "focus_2.aimodel").rename(folder / "glance.aimodel")
    (folder / "other").rename(folder / "focus_2.aimodel")
    content = stored(folder)
    for graph in content["subgraphs"]:
        graph["sha256"] = {name: sha256_of(folder / name) for name in graph["sha256"]}
    rewrite(folder, content)
    assert "glance.aimodel: its tensors are not those of the manifest" in one_line(gfnet("predict", folder, odd_images))


@pytest.mark.parametrize(
    ("hidden", "words"),
    [(np.zeros((1, 3), np.float32), "hidden has an invalid shape"), (None, "hidden")],
    ids=["shape", "missing"],
)
def test_inputs_that_do_not_fit_are_named(coreai_bundle, hidden, words):
    session = CoreAISession(coreai_bundle.folder / "policy.aimodel")
    inputs = {"feature_map": np.zeros(session.inputs["feature_map"], np.float32)}
    with pytest.raises(BundleError, match=f"policy.aimodel: Core AI cannot run it .*{words}"):
        session.run(["action"], inputs if hidden is None else {**inputs, "hidden": hidden})


def test_it_runs_inside_another_event_loop(coreai_bundle, scenes):
    """As in a notebook."""
    photo = next((scenes / "val" / "star").iterdir())
    predictor = core_ai_predictor(coreai_bundle)

    async def classify():
        return predictor([photo])

    assert asyncio.run(classify())[0].class_index == predictor([photo])[0].class_index


def test_a_command_ends_well_and_says_nothing_of_the_runtime_s_own(coreai_bundle, scenes):
    photo = next((scenes / "val" / "star").iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "gfnet", "predict", coreai_bundle.folder, photo],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("predict: ")] == []
