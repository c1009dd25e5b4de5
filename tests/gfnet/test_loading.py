from __future__ import annotations

import json
import subprocess
import sys

import pytest

import gfnet
from gfnet.errors import BundleError, CheckpointError, GFNetError
from gfnet.loading import describe_bundle
from network_support import gfnet as run
from network_support import one_line


def test_one_door_for_checkpoints_and_bundles(checkpoint_file, onnx_bundle, scenes):
    photo = next((scenes / "val").rglob("*.png"))
    (with_torch,), (without,) = (gfnet.load(network)([photo]) for network in (checkpoint_file, onnx_bundle.folder))
    assert with_torch.class_index == without.class_index
    assert with_torch.confidence == pytest.approx(without.confidence, abs=1e-4)


def test_options_are_refused_where_they_are_for_nothing(checkpoint_file, onnx_bundle):
    with pytest.raises(BundleError, match="leave out --arch"):
        gfnet.load(onnx_bundle.folder, arch="resnet50")
    with pytest.raises(BundleError, match="has no provider 'gpu'"):
        gfnet.load(onnx_bundle.folder, provider="gpu")
    with pytest.raises(GFNetError, match="leave --provider out"):
        gfnet.load(checkpoint_file, provider="cpu")
    with pytest.raises(GFNetError, match="--exact-int8 is for ONNX bundles"):
        gfnet.load(checkpoint_file, exact_int8=True)


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="nothing: no such file"):
        gfnet.load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"no manifest\.json in this folder"):
        gfnet.load(tmp_path)


def test_every_public_name_is_there():
    for name in gfnet.__all__:
        assert getattr(gfnet, name).__doc__


def test_a_bundle_is_described(onnx_bundle, coreml_bundle, checkpoint, tmp_path):
    assert run("info", onnx_bundle.folder, "--json", tmp_path / "info.json").exit_code == 0
    told = json.loads((tmp_path / "info.json").read_text())
    assert told["network"] == "test_resnet_p40_T3"
    assert told["labels"] == list(checkpoint.labels)
    assert told["bytes"] == sum(told["subgraphs"].values()) == onnx_bundle.bytes
    assert told["evaluation"]["anytime_top1"] == list(checkpoint.evaluation.anytime_top1)
    assert len(told["evaluation"]["budgeted"]) == 39
    assert "coreml, fp16, layout split" in run("info", coreml_bundle.folder).stdout
    assert "leave out --steps" in one_line(run("info", onnx_bundle.folder, "--steps", "3"))
    with pytest.raises(BundleError):
        describe_bundle(tmp_path)


QUICK = """
import sys
import gfnet
assert not {"torch", "numpy", "pydantic"} & set(sys.modules)
from click.testing import CliRunner
from gfnet.cli import main
for command, told in COMMANDS:
    result = CliRunner().invoke(main, command)
    assert told in result.output, (command, result.output)
    assert "torch" not in sys.modules, command
"""


def test_what_needs_no_torch_imports_none(onnx_bundle, scenes, tmp_path):
    photo, out = next((scenes / "val").rglob("*.png")), tmp_path / "out"
    commands = [
        (("--help",), "Train and evaluate"),
        (("info", onnx_bundle.folder), "multiply-adds"),
        (("predict", onnx_bundle.folder, photo), "step"),
        (("predict", "grocerie", photo), "no such file, nor an included network"),
        (("info", "grocerie"), "no such file, nor an included network"),
        (("evaluate", "grocerie", "--data", scenes), "no such file, nor an included network"),
        (("evaluate", "groceries", "--data", tmp_path / "none"), "none: no such folder"),
        (("calibrate", "grocerie", out, "--data", scenes), "no such file"),
        (("convert", tmp_path / "none.pth.tar", out), "no such file"),
        (("convert", scenes, out), "a folder, not a checkpoint file"),
        (("train", "--data", tmp_path / "none", "--out", out), "none: no such folder"),
        (("train", "--data", scenes, "--out", out, "--arch", "nonsense"), "neither an official backbone nor a timm"),
        (("train", "--data", scenes, "--out", out, "--arch", "resnet51"), "similar names: resnet"),
        (("train", "--data", scenes, "--out", out, "--init", tmp_path / "none"), "no such file"),
        (("export", "onnx", "grocerie", "--out", out), "no such file"),
        (("export", "coreml", "grocerie", "--out", out), "no such file"),
        (("verify", onnx_bundle.folder, "--against", "grocerie"), "no such file"),
        (("bench", "train", "--arch", "nonsense"), "neither an official backbone nor a timm model"),
    ]
    plain = [([str(word) for word in command], told) for command, told in commands]
    program = QUICK.replace("COMMANDS", repr(plain))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
