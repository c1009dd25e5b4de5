"""The commands ``gfnet bench`` and ``gfnet demo``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.cli import json_option, report_unreadable, threshold_options, write_result


@click.group()
def bench() -> None:
    """Measure what each step costs."""


@bench.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), required=True, help="An image, or a folder of them.")
@click.option("--limit", type=int, default=100, show_default=True, help="Use at most this many images, spread evenly.")
@click.option("--rounds", type=int, default=5, show_default=True, help="Measured passes over the images.")
@click.option("--warmup", type=int, default=1, show_default=True, help="Passes before that are not counted.")
@click.option("--threads", type=int, default=1, show_default=True, help="Threads inside an operator.")
@threshold_options
@json_option
def onnx(
    bundle: Path,
    images: Path,
    limit: int,
    rounds: int,
    warmup: int,
    threads: int,
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    json_path: Path | None,
) -> None:
    """Every subgraph, the adaptive loop and the full-image baseline, one image at a time, interleaved."""
    from gfnet_export.bundle import open_bundle
    from gfnet_export.manifest import budget_points

    from gfnet.exits import resolve_thresholds
    from gfnet.images import every_nth, find_images
    from gfnet_benchmark.onnx_bench import bench_onnx, result_table

    opened = open_bundle(bundle)
    files = every_nth(find_images([images]), limit)
    limits = resolve_thresholds(
        budget_points(opened.manifest),
        opened.manifest.steps,
        all_steps=all_steps,
        thresholds=thresholds,
        budget=budget,
    )
    result = bench_onnx(opened, files, thresholds=limits, rounds=rounds, warmup_rounds=warmup, threads=threads)
    click.echo(result_table(result))
    write_result(json_path, result.model_dump(mode="json"))
    report_unreadable(list(result.unreadable))


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@json_option
def demo(out: Path, seed: int, overwrite: bool, json_path: Path | None) -> None:
    """The whole job on generated scenes: train, evaluate, export, predict, measure, and one page about it."""
    from gfnet_benchmark.demo import run_demo

    summary = run_demo(out, seed=seed, overwrite=overwrite)
    click.echo(f"open {out / 'report.html'}")
    write_result(json_path, summary)
