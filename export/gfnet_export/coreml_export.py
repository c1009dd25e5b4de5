"""Components as Core ML packages."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from gfnet.errors import ExportError
from gfnet_export import names
from gfnet_export.components import Component
from gfnet_export.manifest import Compression
from gfnet_export.quiet import quiet_coremltools

with quiet_coremltools():
    import coremltools as ct
    import coremltools.optimize.coreml as cto

Precision = Literal["fp16", "fp32"]


def write_coreml(
    component: Component,
    path: Path,
    *,
    precision: Precision = "fp16",
    target: str = "iOS16",
    compression: Compression = "none",
    labels: tuple[str, ...] | None = None,
) -> None:
    """Write one component as an ``.mlpackage``, an ML program with fixed shapes.

    Inputs and outputs are float32 whatever the precision inside.

    Args:
        target: oldest system that must run it, ``iOS16``, ``iOS17`` or ``iOS18``.
        compression: of weights with more than 2048 elements, which leaves the action's layer as it is: ``int8``:
            linear, symmetric, one scale a channel; ``palette6``, ``palette4``: 64 or 16 values a tensor, by k-means.
        labels: class names, kept in the metadata.

    Raises:
        ExportError: a part of the network has no Core ML form.
    """
    with quiet_coremltools(), torch.no_grad():
        try:
            traced = torch.jit.trace(component.module, component.example)
            model = ct.convert(
                traced,
                source="pytorch",
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, target),
                # Made anew for each conversion: coremltools changes the objects it is given.
                inputs=[ct.TensorType(name=spec.name, shape=spec.shape, dtype=np.float32) for spec in component.inputs],
                outputs=[ct.TensorType(name=spec.name, dtype=np.float32) for spec in component.outputs],
                compute_precision=_precision(component, precision),
                skip_model_load=True,
            )
            model = _compressed(model, compression)
        except (RuntimeError, ValueError, NotImplementedError, TypeError) as error:
            if "FileWriter" in str(error):  # weights go to the temporary folder first
                raise ExportError(
                    f"{path}: cannot write ({error}); free some space there and in {tempfile.gettempdir()}"
                ) from error
            raise ExportError(f"{component.name}: Core ML export failed ({str(error).splitlines()[0]})") from error
        model.short_description = component.description
        model.author = "gfnet"
        model.license = "Apache-2.0"
        model.version = "1"
        if labels is not None and any(spec.name == names.LOGITS for spec in component.outputs):
            # A classifier's own label field cannot be used: coremltools refuses it with several outputs.
            model.user_defined_metadata["labels"] = json.dumps(labels, ensure_ascii=False)
        for spec in component.inputs:
            model.input_description[spec.name] = names.DESCRIPTIONS[spec.name]
        for spec in component.outputs:
            model.output_description[spec.name] = names.DESCRIPTIONS[spec.name]
        model.save(str(path))


def content_files(package: Path) -> tuple[Path, ...]:
    """The files of a package that hold its content; ``Manifest.json`` gets new identifiers at every load."""
    return tuple(sorted(file for file in (package / "Data").rglob("*") if file.is_file()))


def _compressed(model: ct.models.MLModel, compression: Compression) -> ct.models.MLModel:
    if compression == "none":
        return model
    if compression == "int8":
        linear = cto.OpLinearQuantizerConfig(mode="linear_symmetric")
        return cto.linear_quantize_weights(model, cto.OptimizationConfig(linear))
    palette = cto.OpPalettizerConfig(mode="kmeans", nbits=int(compression.removeprefix("palette")))
    return cto.palettize_weights(model, cto.OptimizationConfig(palette))


def _precision(component: Component, precision: Precision):
    if precision == "fp32":
        return ct.precision.FLOAT32
    if component.role != "policy":
        return ct.precision.FLOAT16
    # The action is floored to a pixel: rounded to fp16 first, one patch in ten moved by a pixel.
    return ct.transform.FP16ComputePrecision(op_selector=lambda op: not _is_action(op))


def _is_action(op) -> bool:
    """Whether an operation belongs to the actor: its result is [1,2], and no other layer is that narrow."""
    return any(tuple(output.shape) == (1, 2) for output in op.outputs if output.shape is not None)
