"""The command ``gfnet demo``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.cli import json_option, needs_extra, write_result
from gfnet.console.output import say


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace OUT if this command wrote it.")
@json_option
def demo(out: Path, seed: int, overwrite: bool, json_path: Path | None) -> None:
    """The whole job on generated scenes: train, evaluate, export, predict, measure, and one page about it."""
    needs_extra("all")
    from gfnet_benchmark.demo.run import run_demo

    summary = run_demo(out, seed=seed, overwrite=overwrite)
    say(f"open {out / 'report.html'}")
    write_result(json_path, summary)
