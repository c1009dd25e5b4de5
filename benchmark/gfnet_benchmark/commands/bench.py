"""The group ``gfnet bench``."""

from __future__ import annotations

import click

from gfnet_benchmark.commands.internals import bench_train, core, solvers
from gfnet_benchmark.commands.onnx import onnx
from gfnet_benchmark.commands.paper import paper
from gfnet_benchmark.commands.results import compare, ingest, report, schedule


@click.group()
def bench() -> None:
    """Measure what each step costs, compare it, and show it."""


for command in (onnx, report, compare, ingest, schedule, paper, core, bench_train, solvers):
    bench.add_command(command)
