"""The commands ``gfnet export``, ``gfnet verify``, ``gfnet predict`` and ``gfnet visualize``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gfnet.cli import json_option, official_options, report_unreadable, threshold_options, write_result

if TYPE_CHECKING:  # imported when a command runs: `gfnet --help` stays fast
    import numpy as np

    from gfnet.checkpoint import Checkpoint
    from gfnet.predictor import Predictor
    from gfnet_export.bundle import Bundle


def _calibration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where activations' ranges come from."""
    for option in (
        click.option(
            "--calibration-limit",
            type=click.IntRange(min=1),
            default=64,
            show_default=True,
            help="Photos of it to use, evenly drawn.",
        ),
        click.option(
            "--calibration",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Photos to find the ranges of 8-bit activations on.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def export() -> None:
    """Write a checkpoint as a bundle of subgraphs that a phone or a server runs."""


@export.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle's folder.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8", "int8-heads"]),
    default="fp32",
    show_default=True,
    help="int8 needs --calibration; int8-heads: the classifiers' weights alone.",
)
@click.option("--opset", type=click.IntRange(18, 25), default=18, show_default=True)
@click.option(
    "--layout",
    type=click.Choice(["split", "fused"]),
    default="split",
    show_default=True,
    help="fused: policy, crop and focus of a step in one graph.",
)
@_calibration_options
@click.option(
    "--ranges",
    "method",
    type=click.Choice(["percentile", "entropy"]),
    default="percentile",
    show_default=True,
    help="How int8 chooses an activation's range.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@official_options
@json_option
def onnx(
    checkpoint: Path,
    out: Path,
    precision: Any,
    opset: int,
    layout: Any,
    calibration: Path | None,
    calibration_limit: int,
    method: Any,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """ONNX files, batch 1, fixed shapes."""
    from gfnet.checkpoint import load_checkpoint
    from gfnet_export.onnx_bundle import export_onnx

    loaded = load_checkpoint(checkpoint, **official)
    squares, unreadable = _calibration_squares(loaded, calibration, calibration_limit, needed=precision == "int8")
    bundle = export_onnx(
        loaded,
        out,
        precision=precision,
        opset=opset,
        layout=layout,
        calibration=squares,
        method=method,
        overwrite=overwrite,
    )
    _report(bundle, json_path)
    report_unreadable(unreadable)


@export.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle's folder.")
@click.option("--precision", type=click.Choice(["fp16", "fp32"]), default="fp16", show_default=True)
@click.option(
    "--target",
    type=click.Choice(["iOS16", "iOS17", "iOS18"]),
    help="Oldest system; by default the oldest that can run what is asked for.",
)
@click.option(
    "--layout",
    type=click.Choice(["split", "multifunction"]),
    default="split",
    show_default=True,
    help="multifunction: the focus steps share one package (iOS 18).",
)
@click.option(
    "--compress",
    "compression",
    type=click.Choice(["none", "int8", "palette6", "palette4", "w8a8"]),
    default="none",
    show_default=True,
    help="Weights in 8 bits, or as 6- or 4-bit palettes; w8a8: activations in 8 bits too, needs --calibration.",
)
@_calibration_options
@click.option(
    "--inputs",
    type=click.Choice(["image", "tensor"]),
    default="image",
    show_default=True,
    help="Pixels as pictures of 8 bits a channel, or as float32 tensors.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@official_options
@json_option
def coreml(
    checkpoint: Path,
    out: Path,
    precision: Any,
    target: Any,
    layout: Any,
    compression: Any,
    calibration: Path | None,
    calibration_limit: int,
    inputs: Any,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Core ML packages, batch 1, fixed shapes."""
    from gfnet.checkpoint import load_checkpoint
    from gfnet_export.coreml_bundle import export_coreml

    loaded = load_checkpoint(checkpoint, **official)
    squares, unreadable = _calibration_squares(loaded, calibration, calibration_limit, needed=compression == "w8a8")
    bundle = export_coreml(
        loaded,
        out,
        precision=precision,
        target=target,
        layout=layout,
        compression=compression,
        inputs=inputs,
        calibration=squares,
        overwrite=overwrite,
    )
    _report(bundle, json_path)
    report_unreadable(unreadable)


def _calibration_squares(
    checkpoint: Checkpoint, images: Path | None, limit: int, *, needed: bool
) -> tuple[list[np.ndarray], list[str]]:
    """Photos as the network gets them, and a message for each that cannot be read; none where none are needed."""
    from gfnet.errors import DataError
    from gfnet.images import Preprocessing
    from gfnet_export.squares import load_squares

    if images is None:
        return [], []
    if not needed:
        raise click.UsageError("--calibration is for 8-bit activations; leave it out")
    squares, _, unreadable = load_squares(Preprocessing.of(checkpoint.model.config), images, limit)
    if not squares:
        raise DataError(f"{images}: none of {len(unreadable)} images could be read; the first: {unreadable[0]}")
    return squares, unreadable


def _report(bundle: Bundle, json_path: Path | None) -> None:
    for graph in bundle.manifest.subgraphs:
        size = sum((bundle.folder / name).stat().st_size for name in graph.sha256)
        steps = ",".join(map(str, graph.steps))
        click.echo(f"{graph.path:<22} {size / 1e6:7.2f} MB   {graph.role} of step {steps}")
    click.echo(f"{bundle.folder}: {bundle.bytes / 1e6:.2f} MB, {len(bundle.manifest.budgets)} sets of thresholds")
    write_result(
        json_path,
        {"bundle": str(bundle.folder), "bytes": bundle.bytes, "manifest": bundle.manifest.model_dump(mode="json")},
    )


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), required=True, metavar="CKPT", help="What it is made of.")
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help="Photos; generated scenes by default.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=200, show_default=True, help="Photos to use, evenly drawn."
)
@threshold_options
@click.option("--retune", is_flag=True, help="Write thresholds for the exported network's own confidences.")
@official_options
@json_option
def verify(
    bundle: Path,
    against: Path,
    images: Path | None,
    limit: int,
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    retune: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Compare a bundle with its checkpoint: every subgraph's outputs, and every decision.

    Runs on ONNX Runtime, or in the interpreter of Core ML packages.  Exit code 1 if a gate is not passed.
    """
    import sys

    from gfnet.checkpoint import load_checkpoint
    from gfnet.exits import resolve_thresholds
    from gfnet_export.bundle import open_bundle
    from gfnet_export.manifest import budget_points
    from gfnet_export.retuning import retune as retune_bundle
    from gfnet_export.verification import verify as run_verification
    from gfnet_export.verification_report import read_squares, verification_table

    opened = open_bundle(bundle)
    points = budget_points(opened.manifest)
    limits = None
    if points or all_steps or thresholds or budget:
        limits = resolve_thresholds(
            points, opened.manifest.steps, all_steps=all_steps, thresholds=thresholds, budget=budget
        )
    squares, labels, unreadable = read_squares(opened.manifest, images, limit)
    found = run_verification(opened, load_checkpoint(against, **official), squares, thresholds=limits, labels=labels)
    click.echo(verification_table(found))
    if retune:
        changed = retune_bundle(opened, found.confidence, found.predicted, labels)
        click.echo(f"{bundle}: {len(changed.manifest.budgets)} sets of thresholds, found on {len(squares)} images")
    write_result(json_path, found.to_dict())
    if found.failures:
        sys.exit(1)
    report_unreadable(unreadable)


@click.command()
@click.argument("network", type=click.Path(path_type=Path), metavar="CKPT_OR_BUNDLE")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@threshold_options
@click.option("--logits", is_flag=True, help="Include every step's logits in the JSON.")
@click.option("--draw", type=click.Path(path_type=Path), metavar="DIR", help="Draw where the network looked.")
@click.option("--strict", is_flag=True, help="Stop at the first image that cannot be read.")
@official_options
@json_option
def predict(
    network: Path,
    images: tuple[str, ...],
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    logits: bool,
    draw: Path | None,
    strict: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Classify photos: IMAGE is a file or a folder.

    Stops early by the network's most accurate stored thresholds unless told otherwise.  Images that cannot
    be read are named and left out, and the exit code is 1.
    """
    from gfnet.files import atomic_file
    from gfnet.progress import Progress
    from gfnet.traces import label_of
    from gfnet_export.pictures import draw_seen, picture_name

    predictor, files, limits = _prepare(network, images, all_steps, thresholds, budget, official)
    unreadable: list[str] = []
    results: list[dict[str, Any]] = []
    lines: list[str] = []
    with Progress("predict", len(files), "images") as progress:
        for trace, pixels in predictor.stream(files, limits, unreadable=None if strict else unreadable):
            label = label_of(trace.class_index, predictor.labels)
            lines.append(f"{trace.image}  {label}  {trace.confidence:.3f}  step {trace.exit_step}")
            if draw is not None:
                with atomic_file(draw / picture_name(len(results), trace.image)) as temporary:
                    draw_seen(predictor, trace, pixels).save(temporary)
            results.append(trace.to_dict(predictor.labels, logits=logits))
            progress.advance()
    for line in lines:  # after the progress bar, which they would tear apart
        click.echo(line)
    if draw is not None:
        click.echo(f"{draw}: {len(results)} pictures")
    write_result(json_path, results)
    report_unreadable(unreadable)


@click.command()
@click.argument("network", type=click.Path(path_type=Path), metavar="CKPT_OR_BUNDLE")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The gallery's folder.")
@threshold_options
@click.option("--strict", is_flag=True, help="Stop at the first image that cannot be read.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@official_options
@json_option
def visualize(
    network: Path,
    images: tuple[str, ...],
    out: Path,
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    strict: bool,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Draw where a network looked: a picture of each photo, a heat map of all patches, and a page.

    IMAGE is a file or a folder; open OUT/index.html afterwards.  Thresholds and unreadable images are treated
    as `gfnet predict` does.  Answers are marked right or wrong where a photo's folder is called like a class.
    """
    from gfnet_export.gallery import PAGE, make_gallery

    predictor, files, limits = _prepare(network, images, all_steps, thresholds, budget, official)
    gallery = make_gallery(predictor, files, out, limits, network=network, strict=strict, overwrite=overwrite)
    for step, count in enumerate(gallery.exits, 1):
        click.echo(f"stopped at step {step}  {count:6d} images")
    click.echo(f"{out / PAGE}: {len(gallery.cards)} pictures")
    write_result(json_path, gallery.to_dict())
    report_unreadable(list(gallery.unreadable))


def _prepare(
    network: Path,
    images: tuple[str, ...],
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    official: dict[str, Any],
) -> tuple[Predictor, list[Path], Sequence[float] | None]:
    """The network, the image files, and when to stop."""
    from gfnet.exits import resolve_thresholds
    from gfnet.images import find_images
    from gfnet_export.loading import load_predictor

    files = find_images(images)
    predictor = load_predictor(network, **official)
    limits = resolve_thresholds(
        predictor.points, predictor.runner.steps, all_steps=all_steps, thresholds=thresholds, budget=budget
    )
    return predictor, files, limits
