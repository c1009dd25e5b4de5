"""Components as Core ML packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gfnet.errors import ExportError
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.manifest import TensorSpec
from gfnet_export.choices import Compression, CoreMLPrecision
from gfnet_export.components import Component
from gfnet_export.quiet import quietly

with quietly():
    import coremltools as ct
    import coremltools.optimize.coreml as cto


def write_coreml(
    component: Component,
    path: Path,
    *,
    precision: CoreMLPrecision = "fp16",
    target: str = "iOS16",
    compression: Compression = "none",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write one component as an ``.mlpackage``, an ML program with fixed shapes.

    Inputs and outputs are float32 whatever the precision inside; inputs that are pictures take what a camera gives.

    Args:
        target: oldest system that must run it, ``iOS16``, ``iOS17`` or ``iOS18``.
        compression: of weights with more than 2048 elements, but for the action's layer: ``int8``: linear, symmetric,
            one scale a channel; ``palette6``, ``palette4``: 64 or 16 values a tensor, by k-means.
        metadata: what to tell a person who opens the package.

    Raises:
        ExportError: a part of the network has no Core ML form.
        OSError: it cannot be written.
    """
    with quietly(), torch.no_grad():
        try:
            traced = torch.jit.trace(component.module, component.example)  # type: ignore[no-untyped-call]
            model = ct.convert(
                traced,
                source="pytorch",
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, target),
                inputs=[_input(spec) for spec in component.inputs],
                outputs=[ct.TensorType(name=spec.name, dtype=np.float32) for spec in component.outputs],
                compute_precision=_precision(component, precision),
                skip_model_load=True,
            )
            model = _compressed(model, compression)
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            if "FileWriter" in str(error):  # of the weights
                raise OSError(str(error)) from error
            raise ExportError(f"{component.name}: Core ML export failed ({str(error).splitlines()[0]})") from error
        _described(model, component.description, metadata).save(str(path))


def join_functions(packages: Mapping[str, Path], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Make one package of several, whose functions share what weights they have in common; runs from iOS 18.

    Args:
        packages: by what their function is to be called; the first is the default one.
        metadata: what to tell a person who opens the package.

    Raises:
        ExportError: they cannot be joined.
    """
    several = ct.utils.MultiFunctionDescriptor()
    for name, package in packages.items():
        several.add_function(str(package), "main", name)
    several.default_function_name = next(iter(packages))
    with quietly():
        try:
            ct.utils.save_multifunction(several, str(path))
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"{path.name}: cannot be joined ({str(error).splitlines()[0]})") from error
        joined = ct.models.MLModel(str(path), skip_model_load=True)  # joining lost the descriptions
        _described(joined, "The later steps: a patch at full resolution each, one function a step.", metadata).save(
            str(path)
        )


def _described(model: ct.models.MLModel, description: str, metadata: Mapping[str, str] | None) -> ct.models.MLModel:
    """The model with all that Xcode shows of it, of each function where there are several."""
    spec = model.get_spec()
    functions = list(spec.description.functions) or [spec.description]
    features = [feature for function in functions for feature in (*function.input, *function.output)]
    for feature in features:
        feature.shortDescription = names.DESCRIPTIONS[feature.name]
    told = spec.description.metadata
    told.shortDescription, told.versionString = description, "1"
    told.author, told.license = "gfnet", "Apache-2.0"
    # Labels too: a classifier's own field for them cannot be used, coremltools refuses it with several outputs.
    for key, value in (metadata or {}).items():
        told.userDefined[key] = value
    return ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)


def content_files(package: Path) -> tuple[Path, ...]:
    """The files of a package that hold its content; ``Manifest.json`` gets new identifiers at every load."""
    return tuple(sorted(file for file in (package / "Data").rglob("*") if file.is_file()))


def _compressed(model: ct.models.MLModel, compression: Compression) -> ct.models.MLModel:
    if compression == "none":
        return model
    if compression == "int8":
        return quantize_weights(model)
    palette = cto.OpPalettizerConfig(mode="kmeans", nbits=int(compression.removeprefix("palette")))
    return cto.palettize_weights(model, _but_the_action(model, palette))


def quantize_weights(model: ct.models.MLModel) -> ct.models.MLModel:
    """The model with weights of 8 bits: linear, symmetric, one scale a channel; see :func:`write_coreml`."""
    linear = cto.OpLinearQuantizerConfig(mode="linear_symmetric")
    return cto.linear_quantize_weights(model, _but_the_action(model, linear))


def _but_the_action(model: ct.models.MLModel, config: Any) -> cto.OptimizationConfig:
    """What is to be done to all weights, but not to those of a policy's last layer."""
    (function,) = model.get_spec().mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    kept = [
        operation.attributes["name"].immediateValue.tensor.strings.values[0]
        for operation in block.operations
        if any(_is_pair(output.type) for output in operation.outputs)
    ]
    return cto.OptimizationConfig(config, op_name_configs=dict.fromkeys(kept))


def _is_pair(kind: Any) -> bool:
    """Whether a value's type is [1,2]: the action's, and no other layer's."""
    return [dimension.constant.size for dimension in kind.tensorType.dimensions] == [1, 2]


def _input(spec: TensorSpec) -> ct.TensorType | ct.ImageType:
    """Made anew for each conversion: coremltools changes the objects it is given."""
    if spec.kind == "image":
        return ct.ImageType(name=spec.name, shape=spec.shape, color_layout=ct.colorlayout.RGB)
    return ct.TensorType(name=spec.name, shape=spec.shape, dtype=np.float32)


def _precision(component: Component, precision: CoreMLPrecision) -> Any:
    if precision == "fp32":
        return ct.precision.FLOAT32
    if component.role != "policy":
        return ct.precision.FLOAT16
    # The action is floored to a pixel: rounded to fp16 first, one patch in ten moved by a pixel.
    return ct.transform.FP16ComputePrecision(op_selector=lambda op: not _is_action(op))


def _is_action(op: Any) -> bool:
    """Whether an operation belongs to the actor: its result is [1,2], and no other layer is that narrow."""
    return any(tuple(output.shape) == (1, 2) for output in op.outputs if output.shape is not None)
