"""From a checkpoint to a bundle on disk."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gfnet.checkpoint import Checkpoint
from gfnet.console.progress import Progress
from gfnet.errors import ExportError
from gfnet.files.replacing import atomic_folder
from gfnet.files.versioned import problems_of
from gfnet.network.cost import cumulative_macs
from gfnet_export.bundle.manifest import Calibration, Exporter, Manifest, PreprocessingSpec, Subgraph
from gfnet_export.bundle.reader import Bundle, open_bundle, sha256_of, write_manifest
from gfnet_export.choices import Compression, Format, Layout, Precision
from gfnet_export.components import Component, components_of


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


BUNDLES: Mapping[Format, str] = {"onnx": "ONNX bundle", "coreml": "Core ML bundle", "coreai": "Core AI bundle"}
"""What the folders are called in messages and in their records."""

Writer = Callable[[Sequence[Component], Path], Iterable[Written]]
"""Writes components into a folder, one after another."""


def write_bundle(checkpoint: Checkpoint, out: Path, write: Writer, form: Form, overwrite: bool) -> Bundle:
    """Write every component with ``write``, then the manifest; read it all back.

    Raises:
        ExportError: a part of the network cannot be written, or a weight is NaN or infinite.
        GFNetError: ``out`` exists, or cannot be written.
    """
    _check_numbers(checkpoint)
    components = components_of(checkpoint.model, form.layout)
    with (
        atomic_folder(out, BUNDLES[form.format], overwrite=overwrite) as folder,
        _scratch_in(folder),
        Progress(f"export {form.format}", len(components), "graphs") as progress,
    ):
        parts = []
        for written in write(components, folder):
            parts.append(written)
            progress.advance(note=written.component.name)
        manifest = manifest_of(checkpoint, parts, folder, form)
        write_manifest(folder, manifest)
    return open_bundle(out)


def metadata_of(checkpoint: Checkpoint, role: str, form: Form) -> dict[str, str]:
    """What a person who finds a subgraph without its bundle wants to know."""
    config = checkpoint.model.config
    told = {
        "role": role,
        "architecture": config.arch,
        "image_size": str(config.image_size),
        "patch_size": str(config.patch_size),
        "steps": str(config.steps),
        "origin": "floor(action * (image_size - patch_size)), (row, col) in pixels",
        "precision": form.precision,
        "compression": form.compression,
    }
    if checkpoint.labels is not None and role != "policy":
        told["labels"] = json.dumps(checkpoint.labels, ensure_ascii=False)
    return told


def _check_numbers(checkpoint: Checkpoint) -> None:
    for name, tensor in checkpoint.model.state_dict().items():
        if not tensor.isfinite().all():
            raise ExportError(f"{name}: has values that are NaN or infinite; train it again, or use another checkpoint")


@contextmanager
def _scratch_in(folder: Path) -> Iterator[None]:
    """Let the exporters' libraries put their temporary files, which some leave there, where they go with ``folder``."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tempfile.tempdir = scratch
        try:
            yield
        finally:
            tempfile.tempdir = before


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


def manifest_of(checkpoint: Checkpoint, parts: Sequence[Written], folder: Path, form: Form) -> Manifest:
    """The description of what was written into ``folder``.

    Raises:
        ExportError: the network is beyond what a bundle may hold.
    """
    try:
        return _manifest(checkpoint, tuple(_describe(written, folder) for written in parts), form)
    except ValidationError as error:
        raise ExportError(f"a bundle cannot hold this network: {problems_of(error)}") from error


def _manifest(checkpoint: Checkpoint, subgraphs: tuple[Subgraph, ...], form: Form) -> Manifest:
    return Manifest(
        format=form.format,
        precision=form.precision,
        compression=form.compression,
        layout=form.layout,
        calibration=form.calibration,
        **network_values(checkpoint),
        subgraphs=subgraphs,
        exporter=Exporter(gfnet=version("gfnet"), libraries=form.libraries),
    )


def network_values(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a manifest says of a network in whatever form it is exported, by the manifest's names.

    Exports write these values, and ``gfnet verify`` compares them.
    """
    config, evaluation = checkpoint.model.config, checkpoint.evaluation
    return {
        "architecture": config.arch,
        "patch_size": config.patch_size,
        "steps": config.steps,
        "num_classes": config.num_classes,
        "labels": checkpoint.labels,
        "preprocessing": PreprocessingSpec(
            image_size=config.image_size,
            resize_size=config.resize_size,
            interpolation=config.interpolation,
            glance_interpolation=config.glance_interpolation,
            mean=config.mean,
            std=config.std,
        ),
        "step_macs": evaluation.macs if evaluation else tuple(map(float, cumulative_macs(checkpoint.model))),
        "anytime_top1": evaluation.anytime_top1 if evaluation else (),
        "budgets": evaluation.budgeted if evaluation else (),
    }
