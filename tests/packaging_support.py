"""What every command does where packages are missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from gfnet.shipped import shipped_weights

EXTRAS = {
    "runtime": ("jinja2", "onnxruntime"),
    "others": (
        *("coremltools", "matplotlib", "onnx", "onnxscript", "psutil", "safetensors", "sklearn", "tensorboard"),
        *("timm", "torch", "torchvision", "yaml", "coreai", "coreai_torch"),
    ),
}
"""Modules that the extras bring: ``runtime``, and all others together."""


class Ran(NamedTuple):
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str


def commands(place: Path, bundle: Path, coreml_bundle: Path, result: Path) -> dict[tuple[str, ...], str | None]:
    """Every command, and the extra that it names where only ``runtime`` is installed; ``None``: it works.

    Args:
        place: a folder to work in.
    """
    photo, photos, mlpackage = place / "photo.png", place / "photos", next(coreml_bundle.glob("*.mlpackage"))
    weights = shipped_weights("groceries")
    Image.new("RGB", (50, 40), "teal").save(photo)
    for split in ("train", "val"):
        for name in ("one", "two"):
            (photos / split / name).mkdir(parents=True)
            Image.new("RGB", (50, 40), "teal").save(photos / split / name / "photo.png")
    table: dict[tuple[str | Path, ...], str | None] = {
        ("predict", bundle, photo, "--draw", place / "seen"): None,
        ("visualize", bundle, photo, "--out", place / "gallery"): None,
        ("synth", place / "scenes", "--train", "10", "--val", "10"): None,
        ("predict", "groceries", photo): None,
        ("predict", coreml_bundle, photo): "coreml",
        ("visualize", "groceries", photo, "--out", place / "gallery2"): None,
        ("info", "groceries"): None,
        ("convert", weights, place / "copy.safetensors"): "train",
        ("calibrate", weights, place / "copy.safetensors", "--data", photos): "train",
        ("evaluate", weights, "--data", photos): "train",
        ("train", "--data", photos, "--out", place / "run"): "train",
        ("export", "onnx", weights, "--out", place / "made"): "onnx",
        ("export", "coreml", weights, "--out", place / "made"): "coreml",
        ("export", "coreai", weights, "--out", place / "made"): "coreai",
        ("verify", bundle, "--against", weights): "train",
        ("mil", "ops", mlpackage): "coreml",
        ("mil", "lint", mlpackage): "coreml",
        ("mil", "run", mlpackage): "coreml",
        ("bench", "onnx", bundle, "--images", photo): "bench",
        ("bench", "report", result, "--out", place / "report.html"): "report",
        ("bench", "report", result, "--out", place / "report.md"): "report",
        ("bench", "compare", result): "report",
        ("bench", "ingest", result, "--results", place / "kept"): None,
        ("bench", "paper"): "train",
        ("bench", "core"): "all",
        ("bench", "train"): "train",
        ("bench", "solvers", weights, "--data", photos): "train",
        ("demo", "--out", place / "demo"): "all",
    }
    return {tuple(map(str, command)): extra for command, extra in table.items()}


def run_without(modules: Sequence[str], commands: Sequence[Sequence[str]]) -> list[Ran]:
    """Run commands, one after another in one new process, where ``modules`` cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps({"modules": modules, "commands": commands}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Ran(*values) for values in json.loads(done.stdout)]


_PROGRAM = """
import json, sys, traceback
asked = json.load(sys.stdin)
sys.modules.update(dict.fromkeys(asked["modules"]))
from click.testing import CliRunner
from gfnet.cli import main

def run(command):
    result = CliRunner().invoke(main, command)
    raised = "" if isinstance(result.exception, SystemExit | None) else traceback.format_exception(result.exception)
    return result.exit_code, result.stdout, result.stderr + "".join(raised)

json.dump([run(command) for command in asked["commands"]], sys.stdout)
"""


def names_extra(ran: Ran) -> str:
    """The extra that a command's only line on standard error names."""
    assert ran.exit_code == 2, ran
    told = r'gfnet: this needs [\w-]+, which is not installed; run `pip install "gfnet\[(\w+)\]"`'
    found = re.fullmatch(rf"{told}(; there is one only where .+)?\n", ran.stderr)
    assert found, ran.stderr
    return found[1]
