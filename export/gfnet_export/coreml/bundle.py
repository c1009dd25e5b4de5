"""A checkpoint as a bundle of Core ML packages."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from gfnet.checkpoint import Checkpoint
from gfnet.errors import ExportError
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.manifest import Calibration, TensorSpec
from gfnet_export.bundle.reader import Bundle
from gfnet_export.choices import Compression, CoreMLLayout, CoreMLPrecision, Pictures, Target
from gfnet_export.components import Component
from gfnet_export.coreml.convert import content_files, join_functions, write_coreml
from gfnet_export.coreml.w8a8 import quantize_activations
from gfnet_export.exporting import Form, Writer, Written, manifest_of, metadata_of, write_bundle
from gfnet_export.mil.session import MilSession
from gfnet_export.recorded_inputs import record_inputs

_PICTURES: Mapping[Pictures, tuple[str, ...]] = {
    "patches": (names.PATCH,),
    "all": (names.PATCH, names.IMAGE),
    "none": (),
}
_FOCUS = "focus"  # the package whose functions are the focus steps


def export_coreml(
    checkpoint: Checkpoint,
    out: str | Path,
    *,
    precision: CoreMLPrecision = "fp16",
    target: Target | None = None,
    layout: CoreMLLayout = "split",
    compression: Compression = "none",
    pictures: Pictures = "patches",
    calibration: Sequence[np.ndarray] = (),
    overwrite: bool = False,
) -> Bundle:
    """Write a network as a bundle of Core ML packages.

    Args:
        out: the bundle's folder; it appears whole or not at all.
        precision: of weights and activations; the policy's output stays float32.
        target: oldest system that must run it; by default the oldest that can.
        layout: ``multifunction``: the focus steps are functions of one package and share its weights; from iOS 18.
        compression: of the weights; see :func:`gfnet_export.coreml.convert.write_coreml`.  ``w8a8``: of the activations
            too; see :func:`gfnet_export.coreml.w8a8.quantize_activations`; from iOS 17.
        pictures: which inputs are pictures of 8 bits a channel, as a camera gives them; the others are float32 pixels.
            A patch loses nothing by it, the glance the fractions that shrinking gave it.
        calibration: preprocessed images, uint8 [S,S,3], for ``w8a8``.
        overwrite: replace an existing folder.

    Raises:
        ExportError: a part of the network has no Core ML form; the target is too old for what is asked; there are no
            images to calibrate on.
        GFNetError: ``out`` exists, or cannot be written.
    """
    oldest: Target = "iOS18" if layout == "multifunction" else "iOS17" if compression == "w8a8" else "iOS16"
    if target is not None and target < oldest:
        what = "multifunction packages" if layout == "multifunction" else "8-bit activations"
        raise ExportError(f"{what} need {oldest}, not {target}; leave --target out")
    if compression == "w8a8" and not len(calibration):
        raise ExportError("w8a8 needs photos to find the ranges of activations; pass --calibration DIR")
    target = target or oldest

    def write(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        for component in components:
            inputs = [_picture(spec) if spec.name in _PICTURES[pictures] else spec for spec in component.inputs]
            component = dataclasses.replace(component, inputs=tuple(inputs))
            path = folder / f"{component.name}.mlpackage"
            write_coreml(
                component,
                path,
                precision=precision,
                target=target,
                compression="none" if compression == "w8a8" else compression,
                metadata=metadata_of(checkpoint, component.role, form),
            )
            yield Written(component, path, content_files(path))

    def write_w8a8(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        """The same, then each in 8 bits by what it was given while it looked at photos."""
        with tempfile.TemporaryDirectory(dir=folder) as apart:
            floats = list(write(components, Path(apart)))
            sessions = {written.component.name: MilSession(written.path) for written in floats}
            given = record_inputs(manifest_of(checkpoint, floats, Path(apart), form), sessions, calibration)
            for written in floats:
                path = folder / written.path.name
                quantize_activations(written.path, given[written.component.name]).save(str(path))
                yield dataclasses.replace(written, path=path, files=content_files(path))

    write_each: Writer = write_w8a8 if compression == "w8a8" else write

    def write_joined(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        """The same, and then the focus steps' packages become one."""
        with tempfile.TemporaryDirectory(dir=folder) as apart:
            steps = []
            for written in write_each(components, Path(apart)):
                if written.component.role == "focus":
                    steps.append(written)
                    continue
                path = written.path.rename(folder / written.path.name)
                yield dataclasses.replace(written, path=path, files=content_files(path))
            path = folder / f"{_FOCUS}.mlpackage"
            join_functions(
                {step.component.name: step.path for step in steps}, path, metadata_of(checkpoint, "focus", form)
            )
            files = content_files(path)
            for step in steps:
                yield dataclasses.replace(step, path=path, files=files, function=step.component.name)

    libraries = {"torch": version("torch"), "coremltools": version("coremltools"), "target": target}
    used = Calibration(images=len(calibration), method="minmax") if compression == "w8a8" else None
    form = Form("coreml", precision, compression, layout, used, libraries)
    several = layout == "multifunction" and checkpoint.model.config.steps > 1
    return write_bundle(checkpoint, Path(out), write_joined if several else write_each, form, overwrite)


def _picture(spec: TensorSpec) -> TensorSpec:
    """Pixels as a picture."""
    return spec.model_copy(update={"dtype": "uint8", "kind": "image"})
