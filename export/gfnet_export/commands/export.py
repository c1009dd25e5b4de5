"""The commands ``gfnet export onnx``, ``gfnet export coreml`` and ``gfnet export coreai``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gfnet.commands.options import (
    OutputFolder,
    choice,
    examples,
    json_option,
    needs_extra,
    official_options,
    overwrite_option,
    refuse_unless,
    report_unreadable,
    together,
    write_result,
)
from gfnet.commands.parameters import CheckpointFile
from gfnet.console.output import say
from gfnet.extras import require
from gfnet_export.choices import (
    Compression,
    CoreAIPrecision,
    CoreMLLayout,
    CoreMLPrecision,
    OnnxLayout,
    Pictures,
    Precision,
    RangeMethod,
    Target,
)

if TYPE_CHECKING:  # imported when a command runs: `gfnet --help` stays fast
    import numpy as np

    from gfnet.checkpoint import Checkpoint
    from gfnet_export.bundle.reader import Bundle


_out = click.option("--out", type=OutputFolder(), metavar="DIR", required=True, help="Folder of the bundle.")
_calibration_options = together(
    click.option(
        "--calibration",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Photos like those of later use, on which the ranges of 8-bit activations are found.",
    ),
    click.option(
        "--calibration-limit",
        type=click.IntRange(min=1),
        metavar="COUNT",
        default=64,
        show_default=True,
        help="Use at most this many of these photos, spread evenly.",
    ),
)


@click.group()
def export() -> None:
    """Write a network for ONNX Runtime, Core ML or Core AI.

    The result is a bundle: a folder with the network's subgraphs and a manifest.json. `gfnet predict` and `visualize`
    take it in place of a checkpoint, `verify` checks it, and `bench onnx` times it. CHECKPOINT is a file or, in a copy
    of the repository, the name of an included network (groceries).
    """


@export.command(
    epilog=examples(
        "gfnet export onnx run/model.safetensors --out bundle",
        "gfnet export onnx groceries --out int8 --precision int8 --calibration photos",
    )
)
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@_out
@click.option(
    "--precision",
    type=choice(Precision),
    default="fp32",
    show_default=True,
    help="Number format. int8: weights and activations in 8 bits, needs --calibration; int8-heads: only the weights of "
    "the classifiers; int8-vectors: those of squeeze-and-excite blocks too. The policy stays in fp32 in all three. "
    "int8-storage: weights stored in 8 bits, computed in fp32.",
)
@click.option(
    "--opset",
    type=click.IntRange(18, 25),
    metavar="VERSION",
    default=18,
    show_default=True,
    help="Version of the ONNX operators.",
)
@click.option(
    "--layout",
    type=choice(OnnxLayout),
    default="split",
    show_default=True,
    help="Graphs of a focus step. split: policy and classification apart; fused: one graph proposes, crops and "
    "classifies.",
)
@_calibration_options
@click.option(
    "--ranges",
    "method",
    type=choice(RangeMethod),
    default="percentile",
    show_default=True,
    help="How --precision int8 chooses the range of an activation: a percentile of the values seen, or the range that "
    "loses least information.",
)
@overwrite_option
@official_options
@json_option
def onnx(
    checkpoint: Path,
    out: Path,
    precision: Precision,
    opset: int,
    layout: OnnxLayout,
    calibration: Path | None,
    calibration_limit: int,
    method: RangeMethod,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Write a bundle of ONNX files.

    The batch size is 1 and all shapes are fixed.
    """
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


@export.command(
    epilog=examples(
        "gfnet export coreml run/model.safetensors --out phone",
        "gfnet export coreml run/model.safetensors --out small --compress palette6",
    )
)
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@_out
@click.option(
    "--precision",
    type=choice(CoreMLPrecision),
    default="fp16",
    show_default=True,
    help="Number format of the computation.",
)
@click.option(
    "--target",
    type=choice(Target),
    help="Oldest system that must run the packages; by default the oldest that can run what is asked for.",
)
@click.option(
    "--layout",
    type=choice(CoreMLLayout),
    default="split",
    show_default=True,
    help="Packages of the network. split: one for each subgraph; multifunction: the focus steps are functions of one "
    "package and share its weights (iOS 18).",
)
@click.option(
    "--compress",
    "compression",
    type=choice(Compression),
    default="none",
    show_default=True,
    help="Compress weights: int8 stores them in 8 bits, palette6 and palette4 as one of 64 or 16 values. w8a8: weights "
    "and activations in 8 bits, needs --calibration.",
)
@_calibration_options
@click.option(
    "--pictures",
    type=choice(Pictures),
    default="patches",
    show_default=True,
    help="Which inputs are 8-bit images instead of float32 arrays. all: the glance too, whose pixels are then rounded.",
)
@overwrite_option
@official_options
@json_option
def coreml(
    checkpoint: Path,
    out: Path,
    precision: CoreMLPrecision,
    target: Target | None,
    layout: CoreMLLayout,
    compression: Compression,
    calibration: Path | None,
    calibration_limit: int,
    pictures: Pictures,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Write a bundle of Core ML packages, for iPhone, iPad and Mac.

    The batch size is 1 and all shapes are fixed.
    """
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


@export.command(
    epilog=examples(
        "gfnet export coreai run/model.safetensors --out phone",
        "gfnet export coreai groceries --out exact --precision fp32",
    )
)
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@_out
@click.option(
    "--precision",
    type=choice(CoreAIPrecision),
    default="fp16",
    show_default=True,
    help="Number format of the computation.",
)
@overwrite_option
@official_options
@json_option
def coreai(
    checkpoint: Path,
    out: Path,
    precision: CoreAIPrecision,
    overwrite: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Write a bundle of Core AI assets, for iOS 27 and macOS 27.

    The batch size is 1 and all shapes are fixed. Apple's converter exists for Linux on x86-64 and for macOS on Apple
    silicon; so does its runtime, in which `gfnet predict`, `visualize` and `verify` run the bundle.
    """
    needs_extra("coreai")
    require("coreai_torch", "coreai")
    from gfnet.checkpoint import load_checkpoint
    from gfnet_export.coreai.bundle import export_coreai

    loaded = load_checkpoint(checkpoint, **official)
    bundle = export_coreai(loaded, out, precision=precision, overwrite=overwrite)
    _report(bundle, json_path)


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
        say("the thresholds are those of the checkpoint; `gfnet verify --retune` finds new ones for this bundle")
    write_result(
        json_path,
        {"bundle": str(bundle.folder), "bytes": bundle.bytes, "manifest": bundle.manifest.model_dump(mode="json")},
    )
