"""The command ``gfnet visualize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gfnet.cli import (
    OutputFolder,
    json_option,
    needs_extra,
    official_options,
    report_unreadable,
    threshold_options,
    write_result,
)
from gfnet.console.output import say
from gfnet_export.commands.predict import prepare


@click.command()
@click.argument("network", type=click.Path(path_type=Path), metavar="CKPT_OR_BUNDLE")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--out", type=OutputFolder(), required=True, help="The gallery's folder.")
@threshold_options
@click.option("--strict", is_flag=True, help="Stop at the first image that cannot be read.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if this command wrote it.")
@official_options
@json_option
def visualize(
    network: Path,
    images: tuple[str, ...],
    out: Path,
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    strict: bool,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Draw where a network looked: a picture of each photo, a heat map of all patches, and a page.

    IMAGE is a file or a folder; open OUT/index.html afterwards.  Thresholds and unreadable images are treated
    as `gfnet predict` does.  Answers are marked right or wrong where a photo's folder is called like a class.
    """
    needs_extra("runtime")
    from gfnet.pictures.gallery import PAGE, make_gallery

    predictor, files, limits = prepare(network, images, all_steps, thresholds, budget, official, out=out)
    gallery = make_gallery(predictor, files, out, limits, network=network, strict=strict, overwrite=overwrite)
    for step, count in enumerate(gallery.exits, 1):
        say(f"stopped at step {step}  {count:6d} images")
    say(f"{out / PAGE}: {len(gallery.cards)} pictures")
    write_result(json_path, gallery.to_dict())
    report_unreadable(list(gallery.unreadable))
