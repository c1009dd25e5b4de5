"""The command ``gfnet synth``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.cli import OutputFolder, json_option, write_result
from gfnet.console.output import say


@click.command()
@click.argument("out", type=OutputFolder())
@click.option("--train", type=int, default=4000, show_default=True, help="Number of training scenes.")
@click.option("--val", type=int, default=1000, show_default=True, help="Number of validation scenes.")
@click.option("--size", type=int, default=None, help="Side of the square scenes, pixels.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same pixels.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if this command wrote it.")
@json_option
def synth(
    out: Path, train: int, val: int, size: int | None, seed: int, overwrite: bool, json_path: Path | None
) -> None:
    """Generate cluttered scenes, ten classes, as an image folder OUT/{train,val}/<class>."""
    from gfnet.data.synth import CLASSES, SceneConfig, write_scenes

    config = SceneConfig() if size is None else SceneConfig(size=size)
    write_scenes(out, train=train, val=val, seed=seed, config=config, overwrite=overwrite)
    say(f"{out}: {train} training and {val} validation scenes of {len(CLASSES)} classes")
    write_result(
        json_path,
        {"out": str(out), "train": train, "val": val, "size": config.size, "seed": seed, "classes": list(CLASSES)},
    )
