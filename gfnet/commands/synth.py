"""The command ``gfnet synth``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.commands.options import OutputFolder, examples, json_option, overwrite_option, write_result
from gfnet.console.output import say


@click.command(epilog=examples("gfnet synth scenes --train 1000 --val 200"))
@click.argument("out", type=OutputFolder())
@click.option("--train", type=int, metavar="COUNT", default=4000, show_default=True, help="Number of training images.")
@click.option("--val", type=int, metavar="COUNT", default=1000, show_default=True, help="Number of validation images.")
@click.option("--size", type=int, metavar="PIXELS", help="Side of the square images in pixels; 120 by default.")
@click.option(
    "--seed",
    type=int,
    metavar="NUMBER",
    default=0,
    show_default=True,
    help="Seed of the random scenes; the same seed gives the same pixels.",
)
@overwrite_option
@json_option
def synth(
    out: Path, train: int, val: int, size: int | None, seed: int, overwrite: bool, json_path: Path | None
) -> None:
    """Generate a small labelled data set of synthetic scenes.

    Writes OUT/train/<class>/ and OUT/val/<class>/ with images of ten classes. The class is a small badge in a cluttered
    scene, so that a network has to look at the right place.
    """
    from gfnet.data.synth import CLASSES, SceneConfig, write_scenes

    config = SceneConfig() if size is None else SceneConfig(size=size)
    write_scenes(out, train=train, val=val, seed=seed, config=config, overwrite=overwrite)
    say(f"{out}: {train} training and {val} validation scenes of {len(CLASSES)} classes")
    write_result(
        json_path,
        {"out": str(out), "train": train, "val": val, "size": config.size, "seed": seed, "classes": list(CLASSES)},
    )
