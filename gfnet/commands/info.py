"""The command ``gfnet info``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.cli import json_option, official_options, write_result
from gfnet.console.output import say


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@official_options
@json_option
def info(checkpoint: Path, arch: str | None, patch_size: int | None, steps: int | None, json_path: Path | None) -> None:
    """Say what a checkpoint holds: network, cost of each step, stored results."""
    from gfnet.checkpoint import load_checkpoint
    from gfnet.commands.summary import checkpoint_table, describe_checkpoint, evaluation_table
    from gfnet.network.cost import cumulative_macs

    loaded = load_checkpoint(checkpoint, arch=arch, patch_size=patch_size, steps=steps)
    summary = describe_checkpoint(loaded, cumulative_macs(loaded.model))
    say(checkpoint_table(summary))
    if loaded.evaluation is not None:
        say("", evaluation_table(loaded.evaluation, every_budget=True))
    write_result(json_path, summary)
