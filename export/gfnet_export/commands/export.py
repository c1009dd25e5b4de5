"""The commands ``gfnet export onnx`` and ``gfnet export coreml``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gfnet.cli import (
    OutputFolder,
    json_option,
    needs_extra,
    official_options,
    refuse_unless,
    report_unreadable,
    write_result,
)
from gfnet.console.output import say
from gfnet.console.parameters import CheckpointFile

if TYPE_CHECKING:  # imported when a command runs: `gfnet --help` stays fast
    import numpy as np

    from gfnet.checkpoint import Checkpoint
    from gfnet_export.bundle.reader import Bundle


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
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@click.option("--out", type=OutputFolder(), required=True, help="The bundle's folder.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8", "int8-heads", "int8-vectors", "int8-storage"]),
    default="fp32",
    show_default=True,
    help="int8 needs --calibration; int8-heads: in 8 bits the classifiers alone; int8-vectors: squeeze-and-excite "
    "too. The policy keeps fp32 in all three. int8-storage: weights stored in 8 bits, computed in fp32.",
)
@click.option(
    "--opset", type=click.IntRange(18, 25), default=18, show_default=True, help="Version of ONNX's operators."
)
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
@click.option("--overwrite", is_flag=True, help="Replace OUT if this command wrote it.")
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
    needs_extra("onnx")
    refuse_unless(precision == "int8", "to --precision int8", "calibration", "calibration_limit", "method")
    from gfnet.checkpoint import load_checkpoint
    from gfnet_export.onnx.bundle import export_onnx

    loaded = load_checkpoint(checkpoint, **official)
    squares, unreadable = _calibration_squares(loaded, calibration, calibration_limit)
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
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@click.option("--out", type=OutputFolder(), required=True, help="The bundle's folder.")
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
    "--pictures",
    type=click.Choice(["patches", "all", "none"]),
    default="patches",
    show_default=True,
    help="Which inputs take 8-bit pictures, not float32 pixels; for `all` the glance is rounded.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if this command wrote it.")
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
    pictures: Any,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Core ML packages, batch 1, fixed shapes."""
    needs_extra("coreml")
    refuse_unless(compression == "w8a8", "to --compress w8a8", "calibration", "calibration_limit")
    from gfnet.checkpoint import load_checkpoint
    from gfnet_export.coreml.bundle import export_coreml

    loaded = load_checkpoint(checkpoint, **official)
    squares, unreadable = _calibration_squares(loaded, calibration, calibration_limit)
    bundle = export_coreml(
        loaded,
        out,
        precision=precision,
        target=target,
        layout=layout,
        compression=compression,
        pictures=pictures,
        calibration=squares,
        overwrite=overwrite,
    )
    _report(bundle, json_path)
    report_unreadable(unreadable)


def _calibration_squares(checkpoint: Checkpoint, images: Path | None, limit: int) -> tuple[list[np.ndarray], list[str]]:
    """Photos as the network gets them, and a message for each that cannot be read; none without photos."""
    from gfnet.errors import DataError
    from gfnet.inference.images import Preprocessing
    from gfnet_export.squares import load_squares

    if images is None:
        return [], []
    squares, _, unreadable = load_squares(Preprocessing.of(checkpoint.model.config), images, limit)
    if not squares:
        raise DataError(f"{images}: none of {len(unreadable)} images could be read; the first: {unreadable[0]}")
    return squares, unreadable


def _report(bundle: Bundle, json_path: Path | None) -> None:
    manifest = bundle.manifest
    for path in dict.fromkeys(graph.path for graph in manifest.subgraphs):
        graphs = [graph for graph in manifest.subgraphs if graph.path == path]
        size = sum((bundle.folder / name).stat().st_size for name in graphs[0].sha256)
        steps = ",".join(str(step) for graph in graphs for step in graph.steps)
        say(f"{path:<22} {size / 1e6:7.2f} MB   {graphs[0].role} of step {steps}")
    say(f"{bundle.folder}: {bundle.bytes / 1e6:.2f} MB, {len(manifest.budgets)} sets of thresholds")
    if manifest.budgets and (manifest.precision.startswith("int8") or manifest.compression != "none"):
        say("the thresholds are the checkpoint's; `gfnet verify --retune` finds them on the bundle")
    write_result(
        json_path,
        {"bundle": str(bundle.folder), "bytes": bundle.bytes, "manifest": bundle.manifest.model_dump(mode="json")},
    )
