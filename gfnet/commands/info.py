"""The command ``gfnet info``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.cli import json_option, official_options, write_result
from gfnet.console.output import say


@click.command()
@click.argument("network", type=click.Path(path_type=Path), metavar="CKPT_OR_BUNDLE")
@official_options
@json_option
def info(network: Path, arch: str | None, patch_size: int | None, steps: int | None, json_path: Path | None) -> None:
    """Say what a checkpoint or a bundle holds: network, cost of each step, stored results."""
    from gfnet.commands.summary import bundle_table, checkpoint_table, describe_checkpoint, evaluation_table
    from gfnet.inference.budgets import Evaluation
    from gfnet.loading import describe_bundle, load_checkpoint
    from gfnet.shipped import network_path, shipped_weights

    path = network_path(network)
    if path.is_dir():
        summary = describe_bundle(path, arch=arch, patch_size=patch_size, steps=steps)
        say(bundle_table(summary))
        if path != network and shipped_weights(path.name).is_file():
            say(f"{'trained weights':<21}{shipped_weights(path.name)}")
        # Of how many images they are results a bundle does not say, and a table neither.
        stored = summary["evaluation"] and Evaluation.from_dict({"images": 0, **summary["evaluation"]})
    else:
        loaded = load_checkpoint(path, arch=arch, patch_size=patch_size, steps=steps)
        from gfnet.network.cost import cumulative_macs

        summary = describe_checkpoint(loaded, cumulative_macs(loaded.model))
        say(checkpoint_table(summary))
        stored = loaded.evaluation
    if stored is not None:
        say("", evaluation_table(stored, every_budget=True))
    write_result(json_path, summary)
