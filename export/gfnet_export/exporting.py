"""From a checkpoint to a bundle on disk."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from gfnet.checkpoint import Checkpoint
from gfnet.cost import cumulative_macs
from gfnet.errors import ExportError
from gfnet.files import atomic_folder, write_text
from gfnet.progress import Progress
from gfnet_export.bundle import MANIFEST, Bundle, open_bundle, sha256_of
from gfnet_export.components import Component, components_of
from gfnet_export.manifest import (
    Budget,
    Calibration,
    Compression,
    Exporter,
    Format,
    Layout,
    Manifest,
    Precision,
    Preprocessing,
    Subgraph,
)


@dataclass(frozen=True)
class Written:
    """What became of one component.

    Attributes:
        component: as it was written.
        path: its file or package.
        files: those that hold its content.
        function: in a package with several.
        float_layers: see :class:`Subgraph`.
    """

    component: Component
    path: Path
    files: tuple[Path, ...]
    function: str | None = None
    float_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """How a bundle's subgraphs are kept; see :class:`Manifest`."""

    format: Format
    precision: Precision
    compression: Compression = "none"
    layout: Layout = "split"
    calibration: Calibration | None = None
    libraries: dict[str, str] = field(default_factory=dict)


Writer = Callable[[Sequence[Component], Path], Iterable[Written]]
"""Writes components into a folder, one after another."""


def export_onnx(checkpoint: Checkpoint, out: str | Path, *, overwrite: bool = False) -> Bundle:
    """Write a network as a bundle of ONNX files in fp32.

    Args:
        out: the bundle's folder; it appears whole or not at all.
        overwrite: replace an existing folder.

    Raises:
        ExportError: a part of the network has no ONNX form.
        GFNetError: ``out`` exists, or cannot be written.
    """
    from gfnet_export.onnx_export import OPSET, write_onnx

    def write(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        for component in components:
            path = folder / f"{component.name}.onnx"
            write_onnx(component, path)
            yield Written(component, path, (path,))

    libraries = {"torch": version("torch"), "onnx": version("onnx"), "opset": str(OPSET)}
    return _export(checkpoint, Path(out), write, Form("onnx", "fp32", libraries=libraries), overwrite)


def export_coreml(
    checkpoint: Checkpoint,
    out: str | Path,
    *,
    precision: Literal["fp16", "fp32"] = "fp16",
    target: str | None = None,
    compression: Compression = "none",
    calibration: Sequence[np.ndarray] = (),
    overwrite: bool = False,
) -> Bundle:
    """Write a network as a bundle of Core ML packages.

    Args:
        out: the bundle's folder; it appears whole or not at all.
        precision: of weights and activations; the policy's output stays float32.
        target: oldest system that must run it; iOS16, or iOS17 for ``w8a8``, unless it is named.
        compression: of the weights; see :func:`gfnet_export.coreml_export.write_coreml`.  ``w8a8``: of the activations
            too; see :func:`gfnet_export.activations.quantize_activations`.
        calibration: for ``w8a8``: preprocessed images, uint8 [S,S,3], to find the ranges of activations on.
        overwrite: replace an existing folder.

    Raises:
        ExportError: a part of the network has no Core ML form; ``w8a8`` without images, or for iOS16.
        GFNetError: ``out`` exists, or cannot be written.
    """
    from gfnet_export.coreml_export import content_files, write_coreml

    if compression == "w8a8":
        return _export_w8a8(checkpoint, Path(out), precision, target or "iOS17", calibration, overwrite)
    target = target or "iOS16"

    def write(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        for component in components:
            path = folder / f"{component.name}.mlpackage"
            write_coreml(
                component, path, precision=precision, target=target, compression=compression, labels=checkpoint.labels
            )
            yield Written(component, path, content_files(path))

    libraries = {"torch": version("torch"), "coremltools": version("coremltools"), "target": target}
    return _export(checkpoint, Path(out), write, Form("coreml", precision, compression, libraries=libraries), overwrite)


def _export_w8a8(
    checkpoint: Checkpoint,
    out: Path,
    precision: Literal["fp16", "fp32"],
    target: str,
    squares: Sequence[np.ndarray],
    overwrite: bool,
) -> Bundle:
    """Write the packages as they are elsewhere, walk the images through them, then write them with 8 bits."""
    from gfnet_export.activations import quantize_activations
    from gfnet_export.calibration import record_inputs
    from gfnet_export.coreml_export import content_files
    from gfnet_export.mil.session import open_sessions

    if target == "iOS16":
        raise ExportError("8-bit activations (w8a8) need iOS17 or newer; leave the target away, or name iOS17")
    if not len(squares):
        raise ExportError("8-bit activations (w8a8) need calibration images; give some that are like those in use")

    def write(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        with tempfile.TemporaryDirectory() as temporary:
            plain = export_coreml(checkpoint, Path(temporary) / "plain", precision=precision, target=target)
            inputs = record_inputs(plain.manifest, open_sessions(plain), squares)
            graphs = {graph.name: graph for graph in plain.manifest.subgraphs}
            for component in components:
                path = folder / f"{component.name}.mlpackage"
                model = quantize_activations(plain.path_of(graphs[component.name]), inputs[component.name])
                model.save(str(path))
                yield Written(component, path, content_files(path))

    form = Form(
        "coreml",
        precision,
        "w8a8",
        calibration=Calibration(images=len(squares), method="minmax"),
        libraries={"torch": version("torch"), "coremltools": version("coremltools"), "target": target},
    )
    return _export(checkpoint, out, write, form, overwrite)


def _export(checkpoint: Checkpoint, out: Path, write: Writer, form: Form, overwrite: bool) -> Bundle:
    """Write every component with ``write``, then the manifest; read it all back."""
    components = components_of(checkpoint.model, form.layout)
    with (
        atomic_folder(out, overwrite=overwrite) as folder,
        Progress(f"export {form.format}", len(components), "graphs") as progress,
    ):
        subgraphs = []
        for written in write(components, folder):
            subgraphs.append(_describe(written, folder))
            progress.advance(note=written.component.name)
        manifest = _manifest(checkpoint, tuple(subgraphs), form)
        write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return open_bundle(out)


def _describe(written: Written, folder: Path) -> Subgraph:
    component = written.component
    if component.role == "baseline":
        raise ValueError("a baseline is measured beside a bundle, never part of it")
    return Subgraph(
        name=component.name,
        role=component.role,
        steps=component.steps,
        path=written.path.relative_to(folder).as_posix(),
        function=written.function,
        sha256={file.relative_to(folder).as_posix(): sha256_of(file) for file in written.files},
        inputs=component.inputs,
        outputs=component.outputs,
        float_layers=written.float_layers,
    )


def _manifest(checkpoint: Checkpoint, subgraphs: tuple[Subgraph, ...], form: Form) -> Manifest:
    config, evaluation = checkpoint.model.config, checkpoint.evaluation
    return Manifest(
        format=form.format,
        precision=form.precision,
        compression=form.compression,
        layout=form.layout,
        calibration=form.calibration,
        architecture=config.arch,
        patch_size=config.patch_size,
        steps=config.steps,
        num_classes=config.num_classes,
        labels=checkpoint.labels,
        preprocessing=Preprocessing(
            image_size=config.image_size,
            resize_size=config.resize_size,
            interpolation=config.interpolation,
            glance_interpolation=config.glance_interpolation,
            mean=config.mean,
            std=config.std,
        ),
        step_macs=evaluation.macs if evaluation else tuple(map(float, cumulative_macs(checkpoint.model))),
        anytime_top1=evaluation.anytime_top1 if evaluation else (),
        budgets=tuple(Budget(**dataclasses.asdict(point)) for point in (evaluation.budgeted if evaluation else ())),
        subgraphs=subgraphs,
        exporter=Exporter(gfnet=version("gfnet"), libraries=form.libraries),
    )
