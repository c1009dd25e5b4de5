"""The command ``gfnet calibrate``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.choices import Solver
from gfnet.commands.options import (
    OutputFile,
    batch_size_option,
    classes_option,
    examples,
    json_option,
    report_unreadable,
    solver_option,
    write_result,
)
from gfnet.commands.parameters import CheckpointFile, DataSource
from gfnet.console.output import say


@click.command(epilog=examples("gfnet calibrate run/model.safetensors calibrated.safetensors --data photos"))
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@click.argument("out", type=OutputFile())
@click.option(
    "--data",
    type=DataSource(),
    required=True,
    metavar="DIR|SHARDS",
    help="Folder with val/ and the split that --split names, or the shards of both.",
)
@click.option(
    "--split",
    metavar="NAME",
    default="train",
    show_default=True,
    help="Split on which temperatures and thresholds are found.",
)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    metavar="COUNT",
    default=10_000,
    show_default=True,
    help="Use at most this many images of that split.",
)
@solver_option
@batch_size_option
@classes_option
@json_option
def calibrate(
    checkpoint: Path,
    out: Path,
    data: str,
    split: str,
    images: int,
    solver: Solver,
    batch_size: int,
    class_map: str | None,
    json_path: Path | None,
) -> None:
    """Make a network's confidences match its accuracy.

    Finds one temperature for each step, by which its logits are divided, and new exit thresholds, and writes the
    network to OUT, a .safetensors file. The predicted classes stay the same. The network is evaluated on val/ before
    and after.
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
