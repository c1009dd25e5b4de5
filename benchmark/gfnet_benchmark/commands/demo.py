"""The command ``gfnet demo``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.commands.options import json_option, needs_extra, overwrite_option, write_result
from gfnet.console.output import say


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=Path("runs/demo"),
    show_default=True,
    help="Folder of the page, the network and all files.",
)
@click.option(
    "--seed", type=int, metavar="NUMBER", default=0, show_default=True, help="Seed of the scenes and of the training."
)
@overwrite_option
@json_option
def demo(out: Path, seed: int, overwrite: bool, json_path: Path | None) -> None:
    """Train, export and measure a small network in minutes.

    Generates synthetic scenes, trains a network on them, evaluates, exports and measures it, and writes one page about
    it: OUT/report.html.
    """
    needs_extra("all")
    from gfnet_benchmark.demo.run import run_demo

    summary = run_demo(out, seed=seed, overwrite=overwrite)
    say(f"open {out / 'report.html'}")
    write_result(json_path, summary)
