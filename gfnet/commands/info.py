"""The command ``gfnet info``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.commands.options import examples, json_option, official_options, write_result
from gfnet.console.output import say


@click.command(epilog=examples("gfnet info groceries", "gfnet info run/model.safetensors"))
@click.argument("checkpoint", type=click.Path(path_type=Path))
@official_options
@json_option
def info(checkpoint: Path, arch: str | None, patch_size: int | None, steps: int | None, json_path: Path | None) -> None:
    """Show what a network is, what its steps cost, and its accuracy.

    CHECKPOINT is a file, or the name of an included network (groceries). Shown are the configuration, the classes, the
    multiply-adds of each step, the training recipe, and the stored accuracies and thresholds.
    """
    from gfnet.checkpoint import load_checkpoint
    from gfnet.commands.summary import checkpoint_table, describe_checkpoint, evaluation_table
    from gfnet.network.cost import cumulative_macs

    loaded = load_checkpoint(checkpoint, arch=arch, patch_size=patch_size, steps=steps)
    summary = describe_checkpoint(loaded, cumulative_macs(loaded.model))
    say(checkpoint_table(summary))
    if loaded.evaluation is not None:
        say("", evaluation_table(loaded.evaluation, every_budget=True))
    write_result(json_path, summary)
