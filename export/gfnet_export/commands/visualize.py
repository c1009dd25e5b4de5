"""The command ``gfnet visualize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gfnet.commands.options import (
    OutputFolder,
    examples,
    json_option,
    needs_extra,
    official_options,
    overwrite_option,
    report_unreadable,
    strict_option,
    threshold_options,
    write_result,
)
from gfnet.console.output import say
from gfnet_export.commands.predict import network_arguments, prepare


@click.command(epilog=examples("gfnet visualize groceries photos --out gallery"))
@network_arguments
@click.option("--out", type=OutputFolder(), metavar="DIR", required=True, help="Folder of the page and its pictures.")
@threshold_options
@strict_option
@overwrite_option
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
    """Draw where a network looked, and make a web page of it.

    NETWORK is a checkpoint, an exported bundle, or the name of an included network (groceries). IMAGE is a file or a
    folder. The page index.html in --out shows every photo with its patches, and a heat map of all patches. An answer is
    marked right or wrong where the photo's folder has the name of a class. Photos that cannot be read are named and
    left out, and the exit code is then 1.
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
