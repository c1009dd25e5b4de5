"""The command ``gfnet evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.choices import Patches, Solver, ThresholdSource
from gfnet.commands.options import (
    OutputFile,
    batch_size_option,
    choice,
    classes_option,
    examples,
    given,
    json_option,
    official_options,
    refuse_unless,
    report_unreadable,
    solver_option,
    strict_option,
    write_result,
)
from gfnet.commands.parameters import CheckpointFile, DataSource
from gfnet.console.output import say


@click.command(
    epilog=examples(
        "gfnet evaluate run/model.safetensors --data photos",
        "gfnet evaluate net.safetensors --data photos --save new.safetensors",
        "gfnet evaluate groceries --data photos --report report",
    )
)
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@click.option(
    "--data",
    type=DataSource(),
    required=True,
    metavar="DIR|SHARDS",
    help="Folder with train/ and val/, or shards of both.",
)
@click.option(
    "--val-data", metavar="SHARDS", help="Shards of the validation split, where --data names the training shards."
)
@click.option(
    "--thresholds",
    type=choice(ThresholdSource),
    default="auto",
    show_default=True,
    help="Use the thresholds saved in the checkpoint, or search for new ones. auto: the saved ones, if there are any "
    "and no other option asks for a search.",
)
@solver_option
@click.option(
    "--search-split",
    metavar="NAME",
    help="Split of --data on which thresholds are found; train by default. val: every second image of val, and the "
    "accuracy is that of the others.",
)
@click.option("--search-images", type=int, metavar="COUNT", help="Search on this many images; on all by default.")
@click.option(
    "--patches",
    type=choice(Patches),
    default="policy",
    show_default=True,
    help="Where focus steps look: where the policy proposes, at random places or at the centre. Compare the three to "
    "see what the policy is worth.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="NUMBER",
    default=0,
    show_default=True,
    help="Seed of --patches random.",
)
@click.option(
    "--latency",
    metavar="RESULT.json[#NAME]",
    help="Count costs in milliseconds too, as `gfnet bench onnx --json` measured them. NAME is one of several networks "
    "in the file.",
)
@click.option(
    "--budget",
    metavar="NUMBER[K|M|G]",
    help="Report exits, classes and confusions at this average of multiply-adds per image, e.g. 60M; by default at the "
    "most accurate thresholds.",
)
@click.option(
    "--report", "report_dir", type=click.Path(path_type=Path), metavar="DIR", help="Write tables and charts to DIR."
)
@batch_size_option
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    metavar="COUNT",
    default=0,
    show_default=True,
    help="Processes that decode images; with 0 this process does.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=600.0,
    show_default=True,
    help="Time that a process under torchrun waits for the others, in seconds.",
)
@click.option(
    "--save", type=OutputFile(), metavar="FILE", help="Write the checkpoint with these results and thresholds to FILE."
)
@strict_option
@classes_option
@official_options
@json_option
def evaluate(
    checkpoint: Path,
    data: str,
    val_data: str | None,
    thresholds: ThresholdSource,
    solver: Solver,
    search_split: str | None,
    search_images: int | None,
    patches: Patches,
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
    """Measure a network's accuracy and find its exit thresholds.

    Reports, on val/, the accuracy after every step and under every budget (the average multiply-adds per image that a
    set of thresholds may spend), the calibration of confidences, and which classes are confused.

    CHECKPOINT is a file or, in a copy of the repository, the name of an included network (groceries).

    `torchrun -m gfnet evaluate ...` shares the images among several processes or machines.
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
