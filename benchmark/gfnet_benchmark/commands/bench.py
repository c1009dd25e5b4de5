"""The group ``gfnet bench``."""

from __future__ import annotations

import click

from gfnet.commands.groups import CommandGroup

COMMANDS = {
    "Measure": {
        "onnx": "gfnet_benchmark.commands.onnx",
        "core": "gfnet_benchmark.commands.internals",
        "train": "gfnet_benchmark.commands.internals",
        "solvers": "gfnet_benchmark.commands.internals",
    },
    "Use results": {
        "report": "gfnet_benchmark.commands.results",
        "compare": "gfnet_benchmark.commands.results",
        "schedule": "gfnet_benchmark.commands.results",
        "paper": "gfnet_benchmark.commands.paper",
        "ingest": "gfnet_benchmark.commands.results",
    },
}


@click.group(cls=CommandGroup, table=COMMANDS)
def bench() -> None:
    """Measure latency, compare devices and report the results.

    RESULT.json is a measured run, as `gfnet bench onnx --json` and the iOS app write it.
    """
