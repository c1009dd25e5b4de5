"""The command ``gfnet bench onnx``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from gfnet.commands.options import (
    choice,
    classes_option,
    examples,
    given,
    json_option,
    needs_extra,
    refuse_unless,
    report_unreadable,
    threshold_options,
    write_result,
)
from gfnet.console.output import say
from gfnet_export.choices import Provider


@click.command(
    epilog=examples(
        "gfnet bench onnx groceries --images photos --json result.json",
        "gfnet bench onnx bundle --images photos --curve --sweep",
        "gfnet bench onnx mobilenetv3_large_100_p96_T3:int8-vectors --images photos",
    )
)
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE|NETWORK...")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="IMAGE|DIR",
    required=True,
    help="An image, or a folder of images.",
)
@click.option(
    "--limit",
    type=int,
    metavar="COUNT",
    default=50,
    show_default=True,
    help="Use at most this many images, spread evenly.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="COUNT",
    default=10,
    show_default=True,
    help="How often every network runs all images.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="COUNT",
    default=5,
    show_default=True,
    help="New processes, one after another, that share the rounds.",
)
@click.option(
    "--threads",
    metavar="NUMBERS",
    default="1",
    show_default=True,
    help="Threads of ONNX Runtime inside an operator; 1,2 measures with 1 and with 2.",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="FILE|BACKBONE@SIZE[:PRECISION]",
    help="Compare with this classifier besides the network's backbone on the full image: an ONNX file, a bundle of one "
    "step, or a backbone with random weights. May be given several times.",
)
@click.option("--curve", is_flag=True, help="Compare with the backbone on smaller images, and with narrower ones, too.")
@click.option(
    "--sweep", is_flag=True, help="Try several settings of ONNX Runtime first, and run everything with its best."
)
@click.option(
    "--provider",
    type=choice(Provider),
    default="cpu",
    show_default=True,
    help="Execution provider of ONNX Runtime.",
)
@click.option(
    "--exact-int8",
    is_flag=True,
    help="Keep the products of int8 networks from saturating on x86 processors without VNNI; slower.",
)
@click.option(
    "--cold/--no-cold",
    default=True,
    show_default=True,
    help="Also time the first image of a new process.",
)
@classes_option
@threshold_options
@json_option
def onnx(
    bundles: tuple[str, ...],
    images: Path,
    limit: int,
    rounds: int,
    processes: int,
    threads: str,
    baselines: tuple[str, ...],
    curve: bool,
    sweep: bool,
    provider: Provider,
    exact_int8: bool,
    cold: bool,
    class_map: str | None,
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    json_path: Path | None,
) -> None:
    """Time networks against full-image classifiers in ONNX Runtime.

    Runs one image at a time and all networks by turns, and shows the time after every step, at every exit and under
    every budget.

    NETWORK is a bundle, an included network (groceries), or one of the papers' by its name, such as
    mobilenetv3_large_100_p96_T3, which gets random weights, since time does not depend on them. :PRECISION and +fused
    behind a name choose the exported form. By default images stop by each network's most accurate stored thresholds.
    """
    needs_extra("bench")
    refuse_unless(processes <= rounds, f"up to the number of --rounds, which is {rounds}", "processes")
    import tempfile
    import time

    from gfnet.data.classes import label_photos
    from gfnet.inference.images import every_nth, find_images
    from gfnet_benchmark.measure.cold_start import measure_cold
    from gfnet_benchmark.measure.photos import Photos
    from gfnet_benchmark.measure.rounds import Stopping
    from gfnet_benchmark.measure.run import bench_onnx
    from gfnet_benchmark.measure.selection import open_bundles, select_targets, thread_counts
    from gfnet_benchmark.report.tables import result_table

    counts = thread_counts(threads)
    files = every_nth(find_images([images]), limit)
    photos = Photos(files)
    with tempfile.TemporaryDirectory() as folder:
        opened = open_bundles(bundles, photos, Path(folder))
        for bundle in opened:  # before anything runs
            label_photos(files, bundle.manifest.labels, bundle.manifest.num_classes, class_map)
        targets = select_targets(
            opened,
            photos,
            Path(folder),
            baselines=baselines,
            curve=curve,
            threads=counts,
            provider=provider,
            exact_int8=exact_int8,
            try_settings=sweep,
            clock=time.perf_counter,
        )
        result = bench_onnx(
            targets,
            photos,
            stopping=Stopping(all_steps, thresholds, budget),
            rounds=rounds,
            processes=min(processes, rounds),
            cold=measure_cold if cold else None,
            command=_command(),
            class_map=class_map,
        )
    say(result_table(result))
    write_result(json_path, result.model_dump(mode="json"))
    report_unreadable(list(result.unreadable))


def _command() -> str:
    """What was asked for, without the folders that only this machine has."""
    context = click.get_current_context()
    words = ["gfnet", "bench", "onnx"]
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if parameter.name == "json_path" or not given(parameter.name or ""):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            told = Path(str(one)).resolve().name if Path(str(one)).exists() else str(one)
            if isinstance(parameter, click.Argument):
                words.append(told)
            elif isinstance(one, bool):
                words.append(parameter.opts[0] if one else parameter.secondary_opts[0])
            else:
                words += [parameter.opts[0], told]
    return shlex.join((*words, "--json", "RESULT.json"))
