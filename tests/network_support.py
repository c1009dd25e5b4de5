"""A small network that every test can afford, and images of every kind."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from gfnet.checkpoint import Checkpoint
from gfnet.cli import main
from gfnet.config import ModelConfig, model_config
from gfnet.data import open_split
from gfnet.data.batches import Batches, PixelDataset
from gfnet.data.synth import CLASSES
from gfnet.evaluation import evaluate, find_thresholds, predict_all_steps
from gfnet.network.cost import cumulative_macs
from gfnet.network.model import GFNet

SMALL = model_config("test_resnet", 40, 3, num_classes=len(CLASSES), image_size=96, crop_ratio=1.0)
"""A cascade of three steps; 40 pixels give the policy a 2 x 2 map."""


def small_network(config: ModelConfig = SMALL, seed: int = 0) -> GFNet:
    """Random weights, spread so that confidences and actions differ from image to image."""
    torch.manual_seed(seed)
    model = GFNet(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("classifier.", "policy.actor", "global_encoder.net.fc")):
                parameter.mul_(30)
    return model


def small_checkpoint(val: Path, config: ModelConfig = SMALL) -> Checkpoint:
    """Such a network with thresholds found, and results measured, on the image folder ``val``."""
    model = small_network(config)
    split = open_split(val)
    predictions = predict_all_steps(model, Batches(PixelDataset(split, config), 16), len(split.samples))
    macs = cumulative_macs(model)
    thresholds, budgets = find_thresholds(predictions, macs)
    return Checkpoint(model, tuple(split.classes), evaluate(predictions, macs, thresholds, budgets))


def recurrent(config: ModelConfig = SMALL) -> ModelConfig:
    """The same network with a recurrent classifier, whose focus steps share one subgraph."""
    return dataclasses.replace(config, classifier="recurrent", classifier_hidden=16, glance_head="classifier")


def gfnet(*arguments: str | Path) -> Result:
    """Run the command line in this process; exceptions that it should have caught surface here."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def commands_by_path() -> dict[str, tuple[click.Command, click.Context]]:
    """Every command and group by what a person types, such as ``gfnet export onnx``, and a context to ask it in."""

    def walk(command, context):
        yield context.command_path, (command, context)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from walk(found, click.Context(found, info_name=name, parent=context))

    return dict(walk(main, click.Context(main, info_name="gfnet")))


def slow(*values: Any) -> Any:
    """Values of a parametrised test that are left to `make test-slow`."""
    return pytest.param(*values, marks=pytest.mark.slow)


def one_line(result: Result) -> str:
    """The single error line of a command that failed as it should."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("gfnet: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth random picture: no two regions alike, as in a photograph."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


READABLE = ("grey", "rgba", "cmyk", "rotated", "deep", "pixel", "line", "palette", "large")
UNREADABLE = ("truncated", "empty", "text")


def write_odd_images(folder: Path) -> None:
    """One image of each kind named in READABLE and UNREADABLE, the name being the file's stem."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = photograph(120, 90)
    photo.convert("L").save(folder / "grey.png")
    photo.convert("RGBA").save(folder / "rgba.png")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    photo.save(folder / "rotated.jpg", exif=exif)
    Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    photo.crop((0, 0, 1, 1)).save(folder / "pixel.png")
    photograph(640, 10).save(folder / "line.png")  # as long as it may be
    photo.quantize(16).save(folder / "palette.gif")
    photograph(10_000, 800).save(folder / "large.jpg")
    photo.save(folder / "truncated.jpg")
    whole = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("not an image")
