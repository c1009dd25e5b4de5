"""The commands ``gfnet export`` and ``gfnet predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gfnet.cli import json_option, official_options, report_unreadable, threshold_options, write_result

if TYPE_CHECKING:  # imported when a command runs: `gfnet --help` stays fast
    from gfnet.predictor import Predictor
    from gfnet.traces import Trace
    from gfnet_export.bundle import Bundle


@click.group()
def export() -> None:
    """Write a checkpoint as a bundle of subgraphs that a phone or a server runs."""


@export.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle's folder.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@official_options
@json_option
def onnx(checkpoint: Path, out: Path, overwrite: bool, json_path: Path | None, **official: Any) -> None:
    """ONNX files in fp32, batch 1, fixed shapes."""
    from gfnet.checkpoint import load_checkpoint
    from gfnet_export.exporting import export_onnx

    _report(export_onnx(load_checkpoint(checkpoint, **official), out, overwrite=overwrite), json_path)


@export.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle's folder.")
@click.option("--precision", type=click.Choice(["fp16", "fp32"]), default="fp16", show_default=True)
@click.option(
    "--target",
    type=click.Choice(["iOS16", "iOS17", "iOS18"]),
    default="iOS16",
    show_default=True,
    help="Oldest system.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@official_options
@json_option
def coreml(
    checkpoint: Path,
    out: Path,
    precision: Any,
    target: str,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Core ML packages, batch 1, fixed shapes."""
    from gfnet.checkpoint import load_checkpoint
    from gfnet_export.exporting import export_coreml

    loaded = load_checkpoint(checkpoint, **official)
    _report(export_coreml(loaded, out, precision=precision, target=target, overwrite=overwrite), json_path)


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
    from gfnet.exits import resolve_thresholds
    from gfnet.images import find_images
    from gfnet.traces import label_of
    from gfnet_export.loading import load_predictor

    files = find_images(images)
    predictor = load_predictor(network, **official)
    limits = resolve_thresholds(
        predictor.points, predictor.runner.steps, all_steps=all_steps, thresholds=thresholds, budget=budget
    )
    traces, unreadable = predictor.classify_readable(files, limits, strict=strict)
    for trace in traces:
        label = label_of(trace.class_index, predictor.labels)
        click.echo(f"{trace.image}  {label}  {trace.confidence:.3f}  step {trace.exit_step}")
    if draw is not None:
        _draw(predictor, traces, draw)
    write_result(json_path, [trace.to_dict(predictor.labels, logits=logits) for trace in traces])
    report_unreadable(unreadable)


def _draw(predictor: Predictor, traces: list[Trace], folder: Path) -> None:
    from gfnet.drawing import draw_trace
    from gfnet.files import atomic_file
    from gfnet.images import load_image

    for number, trace in enumerate(traces):
        pixels = predictor.preprocessing(load_image(trace.image))
        picture = draw_trace(pixels, trace, predictor.runner.patch_size, predictor.labels)
        with atomic_file(folder / f"{number:04d}-{Path(trace.image).stem}.png") as temporary:
            picture.save(temporary)
    click.echo(f"{folder}: {len(traces)} pictures")
