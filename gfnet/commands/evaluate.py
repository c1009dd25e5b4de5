"""The command ``gfnet evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gfnet.cli import (
    OutputFile,
    classes_option,
    given,
    json_option,
    official_options,
    refuse_unless,
    report_unreadable,
    write_result,
)
from gfnet.console.output import say


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--data", required=True, metavar="DIR|SHARDS", help="Folder with train/ and val/, or shards.")
@click.option("--val-data", metavar="SHARDS", help="Shards of the validation split, where --data does not say.")
@click.option(
    "--thresholds",
    type=click.Choice(["auto", "saved", "search"]),
    default="auto",
    show_default=True,
    help="Those in the checkpoint, or new ones; auto: saved if there are any and no other option asks for a search.",
)
@click.option(
    "--solver",
    type=click.Choice(["geometric", "optimal"]),
    default="geometric",
    show_default=True,
    help="New thresholds by the papers' rule, or the most accurate at the same cost.",
)
@click.option("--search-split", help="Folder of --data to find thresholds on; val: one half of it.  [default: train]")
@click.option("--search-images", type=int, help="Search on this many images only.")
@click.option(
    "--patches",
    type=click.Choice(["policy", "random", "centre"]),
    default="policy",
    show_default=True,
    help="Where focus steps look: what the policy's choice is worth.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random patches.")
@click.option(
    "--latency",
    metavar="RESULT.json[#NAME]",
    help="Cost of steps in milliseconds, from `gfnet bench onnx --json`; NAME: which of several bundles in it.",
)
@click.option("--budget", help="Report exits, classes and confusions at this budget, e.g. 60M; else the most accurate.")
@click.option("--report", "report_dir", type=click.Path(path_type=Path), metavar="DIR", help="Write tables and charts.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Decoding processes.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that a rank waits for the others.",
)
@click.option("--save", type=OutputFile(), help="Write a checkpoint with these results to FILE.")
@click.option("--strict", is_flag=True, help="Stop at the first image that cannot be read.")
@classes_option
@official_options
@json_option
def evaluate(
    checkpoint: Path,
    data: str,
    val_data: str | None,
    thresholds: Any,
    solver: Any,
    search_split: str | None,
    search_images: int | None,
    patches: Any,
    seed: int,
    latency: str | None,
    budget: str | None,
    report_dir: Path | None,
    batch_size: int,
    workers: int,
    timeout: float,
    save: Path | None,
    strict: bool,
    class_map: str | None,
    arch: str | None,
    patch_size: int | None,
    steps: int | None,
    json_path: Path | None,
) -> None:
    """Accuracy after every step and under every budget, on val/; calibration, classes and confusions.

    Under `torchrun -m gfnet evaluate ...` every rank runs its share of the images.
    """
    import dataclasses

    from gfnet.checkpoint import load_checkpoint, save_checkpoint
    from gfnet.commands.summary import evaluation_result, report_table
    from gfnet.distributed import process_group
    from gfnet.evaluation import evaluate_dataset
    from gfnet.evaluation.report import report_evaluation
    from gfnet.evaluation.report_files import check_report, write_report_files
    from gfnet.inference.exits import choose_point, default_point, parse_budget
    from gfnet.network.model import default_device
    from gfnet.results.files import read_network
    from gfnet.results.schema import cumulative_latency

    refuse_unless(patches == "random", "with --patches random", "seed")
    refuse_unless(thresholds != "saved", "where thresholds are searched for", "solver", "search_split", "search_images")
    if given("solver") and thresholds == "auto":
        thresholds = "search"
    if save is not None and patches != "policy":
        raise click.UsageError(f"--save keeps what the network achieves by itself; not with --patches {patches}")
    multiply_adds = None if budget is None else parse_budget(budget)
    if report_dir is not None:
        check_report(report_dir)
    loaded = load_checkpoint(checkpoint, arch=arch, patch_size=patch_size, steps=steps)
    config = loaded.model.config
    step_ms = None if latency is None else cumulative_latency(read_network(latency, config.name))
    with process_group(timeout) as ranks:
        measured = evaluate_dataset(
            loaded.model.to(default_device()),
            data,
            loaded.evaluation,
            labels=loaded.labels,
            class_map=class_map,
            val_data=val_data,
            thresholds=thresholds,
            solver=solver,
            search_split=search_split,
            search_images=search_images,
            step_ms=step_ms,
            patches=patches,
            seed=seed,
            batch_size=batch_size,
            workers=workers,
            strict=strict,
        )
    if not ranks.is_first:
        return
    evaluation = measured.evaluation
    points = evaluation.budgeted
    report = report_evaluation(
        measured.predictions,
        measured.evaluations,
        default_point(points) if multiply_adds is None else choose_point(points, multiply_adds),
        measured.classes,
        search=measured.search,
        step_ms=step_ms,
    )
    say(report_table(report))
    write_result(json_path, evaluation_result(report))
    if report_dir is not None:
        write_report_files(report_dir, report)
        say(f"wrote the report to {report_dir}")
    if save is not None:
        save_checkpoint(save, dataclasses.replace(loaded, evaluation=evaluation))
    report_unreadable(measured.unreadable)
