"""A checkpoint as a bundle of Core ML packages."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from gfnet.checkpoint import Checkpoint
from gfnet.errors import ExportError
from gfnet_export import names
from gfnet_export.bundle import Bundle
from gfnet_export.components import Component
from gfnet_export.coreml_export import content_files, join_functions, write_coreml
from gfnet_export.exporting import Form, Written, write_bundle
from gfnet_export.manifest import Compression, TensorSpec

Target = Literal["iOS16", "iOS17", "iOS18"]
_FOCUS = "focus"  # the package whose functions are the focus steps


def export_coreml(
    checkpoint: Checkpoint,
    out: str | Path,
    *,
    precision: Literal["fp16", "fp32"] = "fp16",
    target: Target | None = None,
    layout: Literal["split", "multifunction"] = "split",
    compression: Compression = "none",
    inputs: Literal["image", "tensor"] = "image",
    overwrite: bool = False,
) -> Bundle:
    """Write a network as a bundle of Core ML packages.

    Args:
        out: the bundle's folder; it appears whole or not at all.
        precision: of weights and activations; the policy's output stays float32.
        target: oldest system that must run it; by default the oldest that can.
        layout: ``multifunction``: the focus steps are functions of one package and share its weights; from iOS 18.
        compression: of the weights; see :func:`gfnet_export.coreml_export.write_coreml`.
        inputs: how glance and patches go in: as pictures of 8 bits a channel, or as float32 pixels, which spares the
            glance the rounding to 8 bits.
        overwrite: replace an existing folder.

    Raises:
        ExportError: a part of the network has no Core ML form; the target is older than the layout.
        GFNetError: ``out`` exists, or cannot be written.
    """
    oldest: Target = "iOS18" if layout == "multifunction" else "iOS16"
    if target is not None and target < oldest:
        raise ExportError(f"{layout} packages need {oldest}, not {target}; leave --target out")
    target = target or oldest

    def write(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        for component in components:
            component = _with_pictures(component) if inputs == "image" else component
            path = folder / f"{component.name}.mlpackage"
            write_coreml(
                component, path, precision=precision, target=target, compression=compression, labels=checkpoint.labels
            )
            yield Written(component, path, content_files(path))

    def write_joined(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        """The same, and then the focus steps' packages become one."""
        with tempfile.TemporaryDirectory(dir=folder) as apart:
            steps = [component for component in components if component.role == "focus"]
            yield from write([component for component in components if component.role != "focus"], folder)
            parts = list(write(steps, Path(apart)))
            path = folder / f"{_FOCUS}.mlpackage"
            join_functions({part.component.name: part.path for part in parts}, path, checkpoint.labels)
            for part in parts:
                yield dataclasses.replace(part, path=path, files=content_files(path), function=part.component.name)

    libraries = {"torch": version("torch"), "coremltools": version("coremltools"), "target": target}
    form = Form("coreml", precision, compression, layout, libraries=libraries)
    several = layout == "multifunction" and checkpoint.model.config.steps > 1
    return write_bundle(checkpoint, Path(out), write_joined if several else write, form, overwrite)


def _with_pictures(component: Component) -> Component:
    """The component with pictures of 8 bits a channel in place of pixels."""
    return dataclasses.replace(component, inputs=tuple(map(_picture, component.inputs)))


def _picture(spec: TensorSpec) -> TensorSpec:
    if spec.name not in (names.IMAGE, names.PATCH):
        return spec
    return spec.model_copy(update={"dtype": "uint8", "kind": "image"})
