from __future__ import annotations

import json
import shutil
import sys

import pytest

from gfnet.checkpoint import Checkpoint
from gfnet.config import RELEASED
from gfnet_export.bundle.manifest import preprocessing_of
from gfnet_export.squares import generated_squares
from gfnet_export.verify.gates import GATES
from gfnet_export.verify.verification import verify
from golden_support import recipe_model
from manifest_support import rewrite, stored
from network_support import gfnet, one_line


def test_a_bundle_is_one_asset_for_each_subgraph(coreai_bundle):
    manifest = coreai_bundle.manifest
    assert (manifest.format, manifest.precision, manifest.layout) == ("coreai", "fp16", "split")
    assert [graph.path for graph in manifest.subgraphs] == [
        *("glance.aimodel", "policy.aimodel", "focus_2.aimodel", "focus_3.aimodel")
    ]
    assert {"torch", "coreai-torch", "coreai-core"} == set(manifest.exporter.libraries)
    assert coreai_bundle.files == {
        f"{graph.path}/{name}" for graph in manifest.subgraphs for name in ("main.hash", "main.mlirb", "metadata.json")
    }


def test_it_answers_like_its_checkpoint_in_apple_s_runtime(coreai_bundle, checkpoint_file, scenes, tmp_path):
    result = gfnet(
        *("verify", coreai_bundle.folder, "--against", checkpoint_file, "--images", scenes / "val", "--limit", "4"),
        *("--json", tmp_path / "found.json"),
    )
    assert result.exit_code == 0, result.output
    assert "Apple's Core AI" in result.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert {item["subgraph"] for item in found["differences"]} == {"glance", "policy", "focus_2", "focus_3"}
    # So coarse that it is not float32, and so fine that it is float16.
    assert 1e-5 < max(item["relative"] for item in found["differences"]) < GATES["fp16"].difference
    assert "at most 60 are compared" not in result.stdout


def test_where_nobody_says_how_many_images_there_are_fewer(coreai_bundle, checkpoint_file, scenes):
    folder = scenes / "val" / "star"
    result = gfnet("verify", coreai_bundle.folder, "--against", checkpoint_file, "--images", folder)
    assert "at most 60 are compared; --limit changes it" in result.stdout


def test_predict_and_visualize_take_it(coreai_bundle, checkpoint_file, scenes, tmp_path):
    photo = next((scenes / "val" / "star").iterdir())
    for number, network in enumerate((coreai_bundle.folder, checkpoint_file)):
        result = gfnet("predict", network, photo, "--json", tmp_path / f"{number}.json")
        assert result.exit_code == 0, result.output
    ours, theirs = (json.loads((tmp_path / f"{number}.json").read_text())[0] for number in range(2))
    assert (ours["label"], ours["exit_step"]) == (theirs["label"], theirs["exit_step"])
    assert ours["confidence"] == pytest.approx(theirs["confidence"], abs=0.01)
    assert gfnet("visualize", coreai_bundle.folder, photo, "--out", tmp_path / "gallery").exit_code == 0


def test_another_network_s_bundle_is_told_by_its_manifest(coreai_bundle, checkpoint_file, tmp_path):
    folder = shutil.copytree(coreai_bundle.folder, tmp_path / "bundle")
    rewrite(folder, {**stored(folder), "architecture": "resnet50"})
    result = gfnet("verify", folder, "--against", checkpoint_file, "--limit", "1")
    assert result.exit_code == 1
    assert "not the same network: architecture is resnet50 in the bundle" in result.stdout


def test_options_of_other_runtimes_are_refused(coreai_bundle, odd_images):
    line = one_line(gfnet("predict", coreai_bundle.folder, odd_images, "--provider", "cpu"))
    assert "not for ONNX Runtime, but coreai" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "{tmp}/taken"), "already exists; choose another folder or pass --overwrite"),
        (("--out", "{tmp}/new", "--precision", "int8"), "'int8' is not one of 'fp16', 'fp32'"),
    ],
)
def test_what_cannot_be_done_is_one_line(coreai_bundle, checkpoint_file, tmp_path, options, words):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("years of work")
    options = (option.format(tmp=tmp_path) for option in options)
    assert words in one_line(gfnet("export", "coreai", checkpoint_file, *options))
    assert not (tmp_path / "new").exists()


def test_without_apple_s_packages_the_extra_is_named_before_any_work(
    checkpoint_file, tmp_path, monkeypatch, coreai_bundle
):
    for name in ("coreai", "coreai_torch"):
        monkeypatch.setitem(sys.modules, name, None)
    line = one_line(gfnet("export", "coreai", checkpoint_file, "--out", tmp_path / "new"))
    assert 'run `pip install "gfnet[coreai]"`; there is one only where python_version' in line
    for command in (
        ("predict", coreai_bundle.folder, tmp_path),
        ("verify", coreai_bundle.folder, "--against", checkpoint_file),
    ):
        photo = tmp_path / "photo.png"
        photo.touch()
        assert "gfnet[coreai]" in one_line(gfnet(*command))


@pytest.mark.nightly
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", RELEASED)
def test_a_released_network_is_what_torch_computes(name, precision, tmp_path):
    coreai = pytest.importorskip("gfnet_export.coreai.bundle", reason="Apple's Core AI is not installed")
    checkpoint = Checkpoint(recipe_model(RELEASED[name]), None, None)
    bundle = coreai.export_coreai(checkpoint, tmp_path / "bundle", precision=precision)
    found = verify(bundle, checkpoint, generated_squares(preprocessing_of(bundle.manifest), 2))
    assert max(item.relative for item in found.differences) < GATES[precision].difference
    assert found.outcome != "failed"
