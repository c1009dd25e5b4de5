"""The command ``gfnet calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gfnet.cli import OutputFile, classes_option, json_option, report_unreadable, write_result
from gfnet.console.output import say
from gfnet.console.parameters import CheckpointFile, DataSource


@click.command()
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@click.argument("out", type=OutputFile())
@click.option(
    "--data",
    type=DataSource(),
    required=True,
    metavar="DIR|SHARDS",
    help="Folder with val/ and the split to learn from.",
)
@click.option("--split", default="train", show_default=True, help="Where temperatures and thresholds are found.")
@click.option("--images", type=click.IntRange(min=1), default=10_000, show_default=True, help="At most so many of it.")
@click.option(
    "--solver", type=click.Choice(["geometric", "optimal"]), default="geometric", show_default=True, help="Thresholds'."
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@classes_option
@json_option
def calibrate(
    checkpoint: Path,
    out: Path,
    data: str,
    split: str,
    images: int,
    solver: Any,
    batch_size: int,
    class_map: str | None,
    json_path: Path | None,
) -> None:
    """Divide each step's logits by a temperature, so that confidence means accuracy, and write OUT.safetensors.

    Answers stay as they are; thresholds are found anew. Both networks are evaluated on val/, where temperatures and
    thresholds are those of another split.
    """
    from gfnet.checkpoint import load_checkpoint, save_checkpoint
    from gfnet.commands.summary import calibration_result, calibration_table
    from gfnet.errors import ConfigError
    from gfnet.evaluation.calibration import calibrate_checkpoint
    from gfnet.network.model import default_device

    if out.suffix != ".safetensors":
        raise ConfigError(f"{out}: name the new file .safetensors")
    loaded = load_checkpoint(checkpoint)
    loaded.model.to(default_device())
    calibrated, calibration = calibrate_checkpoint(
        loaded, data, split=split, images=images, solver=solver, batch_size=batch_size, class_map=class_map
    )
    say(calibration_table(calibration))
    save_checkpoint(out, calibrated)
    say(f"saved {out}")
    write_result(json_path, calibration_result(calibration))
    report_unreadable(calibration.unreadable)
