"""The command ``gfnet info``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.commands.options import examples, json_option, official_options, write_result
from gfnet.console.output import say


@click.command(epilog=examples("gfnet info groceries", "gfnet info run/model.safetensors", "gfnet info bundle"))
@click.argument("network", type=click.Path(path_type=Path), metavar="CHECKPOINT|BUNDLE")
@official_options
@json_option
def info(network: Path, arch: str | None, patch_size: int | None, steps: int | None, json_path: Path | None) -> None:
    """Show what a network is, what its steps cost, and its accuracy.

    CHECKPOINT|BUNDLE is a file, a bundle's folder, or the name of an included network (groceries). Shown are the
    configuration, the classes, the multiply-adds of each step, the training recipe, and the stored accuracies and
    thresholds.
    """
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
