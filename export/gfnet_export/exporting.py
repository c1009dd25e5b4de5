"""From a checkpoint to a bundle on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from gfnet.checkpoint import Checkpoint
from gfnet.cost import cumulative_macs
from gfnet.files import atomic_folder, write_text
from gfnet.progress import Progress
from gfnet_export.bundle import MANIFEST, Bundle, open_bundle, sha256_of
from gfnet_export.components import Component, components_of
from gfnet_export.manifest import Budget, Compression, Exporter, Manifest, Preprocessing, Subgraph, TensorSpec

Writer = Callable[[Component, Path], tuple[Path, list[Path]]]
"""Writes a component into a folder: its file or package, and the files in there that hold content."""


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

    def write(component: Component, folder: Path) -> tuple[Path, list[Path]]:
        path = folder / f"{component.name}.onnx"
        write_onnx(component, path)
        return path, [path]

    libraries = {"torch": version("torch"), "onnx": version("onnx"), "opset": str(OPSET)}
    return _export(checkpoint, Path(out), write, "onnx", "fp32", "none", libraries, overwrite)


def export_coreml(
    checkpoint: Checkpoint,
    out: str | Path,
    *,
    precision: Literal["fp16", "fp32"] = "fp16",
    target: str = "iOS16",
    compression: Compression = "none",
    overwrite: bool = False,
) -> Bundle:
    """Write a network as a bundle of Core ML packages.

    Args:
        out: the bundle's folder; it appears whole or not at all.
        precision: of weights and activations; the policy's output stays float32.
        target: oldest system that must run it.
        compression: of the weights; see :func:`gfnet_export.coreml_export.write_coreml`.
        overwrite: replace an existing folder.

    Raises:
        ExportError: a part of the network has no Core ML form.
        GFNetError: ``out`` exists, or cannot be written.
    """
    from gfnet_export.coreml_export import content_files, write_coreml

    def write(component: Component, folder: Path) -> tuple[Path, list[Path]]:
        path = folder / f"{component.name}.mlpackage"
        write_coreml(
            component, path, precision=precision, target=target, compression=compression, labels=checkpoint.labels
        )
        return path, content_files(path)

    libraries = {"torch": version("torch"), "coremltools": version("coremltools"), "target": target}
    return _export(checkpoint, Path(out), write, "coreml", precision, compression, libraries, overwrite)


def _export(
    checkpoint: Checkpoint,
    out: Path,
    write: Writer,
    form: Literal["onnx", "coreml"],
    precision: Literal["fp32", "fp16"],
    compression: Compression,
    libraries: dict[str, str],
    overwrite: bool,
) -> Bundle:
    """Write every component with ``write``, then the manifest; read it all back."""
    components = components_of(checkpoint.model)
    with (
        atomic_folder(out, overwrite=overwrite) as folder,
        Progress(f"export {form}", len(components), "graphs") as progress,
    ):
        subgraphs = []
        for component in components:
            path, files = write(component, folder)
            subgraphs.append(_describe(component, path, files, folder))
            progress.advance(note=component.name)
        manifest = _manifest(checkpoint, tuple(subgraphs), form, precision, compression, libraries)
        write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return open_bundle(out)


def _describe(component: Component, path: Path, files: list[Path], folder: Path) -> Subgraph:
    with torch.no_grad():
        results = component.module(*component.example)
    results = results if isinstance(results, tuple) else (results,)
    return Subgraph(
        name=component.name,
        role=_subgraph_role(component),
        steps=component.steps,
        path=path.relative_to(folder).as_posix(),
        sha256={file.relative_to(folder).as_posix(): sha256_of(file) for file in files},
        inputs=_specs(component.inputs, component.example),
        outputs=_specs(component.outputs, results),
    )


def _subgraph_role(component: Component) -> Literal["glance", "policy", "focus"]:
    if component.role == "baseline":
        raise ValueError("a baseline is measured beside a bundle, never part of it")
    return component.role


def _specs(names: Sequence[str], tensors: Sequence[Tensor]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=name, shape=tuple(tensor.shape), dtype="float32")
        for name, tensor in zip(names, tensors, strict=True)
    )


def _manifest(
    checkpoint: Checkpoint,
    subgraphs: tuple[Subgraph, ...],
    form: Literal["onnx", "coreml"],
    precision: Literal["fp32", "fp16"],
    compression: Compression,
    libraries: dict[str, str],
) -> Manifest:
    config, evaluation = checkpoint.model.config, checkpoint.evaluation
    return Manifest(
        format=form,
        precision=precision,
        compression=compression,
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
        exporter=Exporter(gfnet=version("gfnet"), libraries=libraries),
    )
