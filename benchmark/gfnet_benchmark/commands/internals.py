"""``gfnet bench core``, ``train`` and ``solvers``: how fast, and how good, this project's own parts are."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.choices import Amp
from gfnet.commands.options import choice, classes_option, json_option, needs_extra, refuse_unless, write_result
from gfnet.commands.parameters import Backbone, CheckpointFile
from gfnet.console.output import say


@click.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    metavar="CHECKPOINT",
    help="Also time adaptive runs of this network.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Also time `gfnet predict` with this bundle: from start to the first answer, and outside the network.",
)
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help="Photos for --checkpoint and --bundle.")
@json_option
def core(checkpoint: Path | None, bundle: Path | None, images: Path | None, json_path: Path | None) -> None:
    """Time this project's own code: cropping, search, start-up."""
    needs_extra("all")
    refuse_unless(checkpoint or bundle, "with --checkpoint or --bundle", "images")
    from gfnet.errors import DataError
    from gfnet.inference.images import every_nth, find_images
    from gfnet_benchmark.internals import core as core_bench
    from gfnet_export.bundle.reader import open_bundle

    if (checkpoint or bundle) and images is None:
        raise DataError("--checkpoint and --bundle need photos; pass --images")
    files = find_images([images]) if images is not None else []
    results = {
        "cropping": core_bench.bench_cropping(),
        "threshold_search": core_bench.bench_threshold_search(),
        "harness": core_bench.bench_harness(),
    }
    if checkpoint is not None:
        from gfnet.checkpoint import load_checkpoint

        loaded = load_checkpoint(checkpoint)
        if loaded.evaluation is None:
            raise DataError(f"{checkpoint}: no thresholds stored; run `gfnet evaluate --save` first")
        results["adaptive"] = core_bench.bench_adaptive(loaded, every_nth(files, 1000))
    if bundle is not None:
        results["first_photo"] = core_bench.bench_first_photo(bundle, files[0])
        results["overhead"] = core_bench.bench_overhead(open_bundle(bundle), files[0])
    for name, figures in results.items():
        for key, value in figures.items():
            say(f"{name:<18} {key:<28} {value:10.3f}")
    write_result(json_path, results)


@click.command()
@click.option(
    "--arch", type=Backbone(), metavar="NAME", default="mobilenetv3_large_100", show_default=True, help="Backbone."
)
@click.option(
    "--patch-size",
    type=int,
    metavar="PIXELS",
    default=96,
    show_default=True,
    help="Side of the input of every step in pixels.",
)
@click.option("--steps", type=int, metavar="T", default=3, show_default=True, help="Number of steps.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    metavar="COUNT",
    default=32,
    show_default=True,
    help="Images in an iteration.",
)
@click.option(
    "--stage",
    "stages",
    type=click.IntRange(1, 3),
    metavar="STAGE",
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="Stage of training to time. May be given several times.",
)
@click.option(
    "--rounds", type=click.IntRange(min=1), metavar="COUNT", default=5, show_default=True, help="Iterations to time."
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="COUNT",
    default=2,
    show_default=True,
    help="Threads that torch computes with.",
)
@click.option("--amp", type=choice(Amp), default="off", show_default=True, help="Mixed precision; off is float32.")
@click.option("--compile", "compiled", is_flag=True, help="Let torch compile the encoders.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also time decoding and augmenting the images of this folder.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    metavar="COUNT",
    default=0,
    show_default=True,
    help="Processes that decode the images of --data; with 0 this process does.",
)
@json_option
def train(
    arch: str,
    patch_size: int,
    steps: int,
    batch_size: int,
    stages: tuple[int, ...],
    rounds: int,
    threads: int,
    amp: Amp,
    compiled: bool,
    data: Path | None,
    workers: int,
    json_path: Path | None,
) -> None:
    """Time training iterations, and see where the time goes.

    The images lie in memory, so that decoding does not count. Shown are images per second, peak memory and the time of
    each part.
    """
    refuse_unless(data, "with --data", "workers")
    import torch

    from gfnet.config import model_config
    from gfnet.training.launch import keep_freed_memory
    from gfnet_benchmark.internals.training import bench_loading, bench_stage, timing_table

    torch.set_num_threads(threads)
    keep_freed_memory()
    config = model_config(arch, patch_size, steps)
    results = []
    for stage in stages:
        timing = bench_stage(config, stage, batch_size=batch_size, rounds=rounds, amp=amp, compiled=compiled)
        say(timing_table(timing))
        results.append(timing.to_dict())
    loading = None
    if data is not None:
        loading = bench_loading(data, config, batch_size=batch_size, workers=workers)
        say(f"decoding and augmenting: {loading:.1f} images/s with {workers} workers")
    write_result(json_path, {"stages": results, "loading_images_per_second": loading})


@click.command()
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="Image folder that holds the two splits below.",
)
@click.option(
    "--search-split",
    metavar="NAME",
    default="train",
    show_default=True,
    help="Split on which thresholds are found.",
)
@click.option(
    "--report-split",
    metavar="NAME",
    default="val",
    show_default=True,
    help="Split on which they are compared.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=2),
    metavar="COUNT",
    default=200,
    show_default=True,
    help="Bootstrap samples from which standard errors are estimated.",
)
@classes_option
@json_option
def solvers(
    checkpoint: Path,
    data: Path,
    search_split: str,
    report_split: str,
    resamples: int,
    class_map: str | None,
    json_path: Path | None,
) -> None:
    """Compare two ways of choosing exit thresholds.

    Shows how much more accurate `--solver optimal` is than the papers' rule at the same average cost.
    """
    from gfnet.checkpoint import load_checkpoint
    from gfnet.network.model import default_device
    from gfnet_benchmark.internals.solvers import bench_solvers

    loaded = load_checkpoint(checkpoint)
    loaded.model.to(default_device())
    result = bench_solvers(loaded, data / search_split, data / report_split, resamples=resamples, class_map=class_map)
    say(f"{result['search_images']} images searched in {result['seconds']:.2f} s, {result['images']} compared")
    for name in ("mean_gain", "largest_gain", "largest_loss"):
        say(f"{name.replace('_', ' '):<14} {result[name]:6.2f} ± {result[name + '_error']:.2f} points of top-1")
    write_result(json_path, result)
