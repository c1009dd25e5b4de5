"""Every example runs, and says what the command line says."""

from __future__ import annotations

import ast
import json
import runpy
import sys
from pathlib import Path

import pytest

from gfnet.results.files import write_result_file
from network_support import gfnet
from result_support import result

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run an example as ``python examples/NAME ARGUMENTS`` does, and give the lines that it prints."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        capsys.readouterr()
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def photos(scenes):
    # Not of val: thresholds were found there, and are the very confidences of some of those scenes.
    return sorted((scenes / "train").rglob("*.png"))[::10]


@pytest.fixture
def answers(onnx_bundle, photos):
    """What ``gfnet predict`` says of the photos."""
    told = gfnet("predict", onnx_bundle.folder, *photos, "--json", "-")
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def test_every_example_is_listed_and_tried():
    listed, tried = (EXAMPLES / "README.md").read_text(), Path(__file__).read_text()
    for script in EXAMPLES.glob("*.py"):
        assert f"[`{script.name}`]({script.name})" in listed
        assert f'run("{script.name}"' in tried


def test_classify_folder(run, onnx_bundle, scenes, photos):
    lines = run("classify_folder.py", onnx_bundle.folder, scenes / "val")
    assert len(lines) == 40
    assert sum("patches at []" in line for line in lines) == sum("after step 1," in line for line in lines)


def test_serve(run, onnx_bundle, photos, answers):
    lines = run("serve.py", onnx_bundle.folder, *photos)
    assert [line.rsplit(" ", 1)[1] for line in lines] == [str(answer["exit_step"]) for answer in answers]


@pytest.mark.slow
def test_export_and_verify(run, checkpoint_file, scenes, tmp_path):
    with pytest.raises(SystemExit) as ended:
        run("export_and_verify.py", checkpoint_file, tmp_path / "bundle", scenes / "val" / "ring")
    assert not ended.value.code
    assert (tmp_path / "bundle" / "manifest.json").is_file()


def test_train_on_photos(run, scenes, tmp_path):
    lines = run("train_on_photos.py", scenes, tmp_path / "run")
    assert [line for line in lines if line.startswith("accuracy if every photo stops after step 3: ")]
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_read_result(run, tmp_path):
    write_result_file(tmp_path / "result.json", result())
    device, *lines = run("read_result.py", tmp_path / "result.json")
    assert result().machine.device in device
    assert [line for line in lines if "times a classifier's time" in line]


def test_plain_onnxruntime_answers_as_predict_does(run, onnx_bundle, photos, answers):
    for photo, answer in zip(photos, answers, strict=True):
        *steps, last = run("plain_onnxruntime.py", onnx_bundle.folder, photo)
        assert len(steps) == answer["exit_step"]
        assert last == f"{photo}: {answer['label']} after step {answer['exit_step']}"


def test_plain_onnxruntime_needs_nothing_of_gfnet():
    tree = ast.parse((EXAMPLES / "plain_onnxruntime.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names == {"json", "numpy", "onnxruntime", "pathlib", "PIL", "sys"}
