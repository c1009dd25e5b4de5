"""The group ``gfnet bench``."""

from __future__ import annotations

import click

from gfnet_benchmark.commands.internals import bench_train, core, solvers
from gfnet_benchmark.commands.onnx import onnx


@click.group()
def bench() -> None:
    """Measure what each step costs, compare it, and show it."""


for command in (onnx, core, bench_train, solvers):
    bench.add_command(command)
