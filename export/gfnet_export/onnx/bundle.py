"""A checkpoint as a bundle of ONNX files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from gfnet.checkpoint import Checkpoint
from gfnet.errors import ExportError
from gfnet_export.bundle.manifest import Calibration
from gfnet_export.bundle.reader import Bundle
from gfnet_export.choices import OnnxLayout, Precision, RangeMethod
from gfnet_export.components import Component
from gfnet_export.exporting import Form, Written, manifest_of, metadata_of, write_bundle
from gfnet_export.onnx.convert import OPSET, convert, save
from gfnet_export.onnx.int8 import quantize
from gfnet_export.onnx.precision import (
    SMALLEST_MATRIX,
    large_heads,
    large_vectors,
    quantize_vectors,
    store_in_8_bits,
    to_fp16,
)
from gfnet_export.recorded_inputs import record_inputs
from gfnet_export.runtime.onnx_runtime import open_session


def export_onnx(
    checkpoint: Checkpoint,
    out: str | Path,
    *,
    precision: Precision = "fp32",
    opset: int = OPSET,
    layout: OnnxLayout = "split",
    calibration: Sequence[np.ndarray] = (),
    method: RangeMethod = "percentile",
    overwrite: bool = False,
) -> Bundle:
    """Write a network as a bundle of ONNX files.

    Args:
        out: the bundle's folder; it appears whole or not at all.
        precision: ``int8`` finds activations' ranges on ``calibration`` and leaves the layers in float that hurt;
            ``int8-heads`` has the classifiers in 8 bits and all else in fp32, ``int8-vectors`` every large layer
            that takes one vector.  The policy stays fp32 in these three, its last layer in fp16.  ``int8-storage``
            stores all large weights in 8 bits and computes in fp32.
        opset: version of ONNX's operators.
        layout: ``fused``: policy, crop and focus of a step in one graph.
        calibration: preprocessed images, uint8 [S,S,3], for ``int8``.
        method: how ``int8`` chooses ranges; see :func:`gfnet_export.onnx.int8.quantize`.
        overwrite: replace an existing folder.

    Raises:
        ExportError: a part of the network has no ONNX form; there are no images to calibrate on; there is no
            classifier, or no layer, large enough to be worth fewer bits.
        GFNetError: ``out`` exists, or cannot be written.
    """
    if precision == "int8" and not len(calibration):
        raise ExportError("int8 needs photos to find the ranges of activations; pass --calibration DIR")
    used = Calibration(images=len(calibration), method=method) if precision == "int8" else None
    libraries = {name: version(name) for name in ("torch", "onnx", "onnxruntime")} | {"opset": str(opset)}
    form = Form("onnx", precision, layout=layout, calibration=used, libraries=libraries)

    def write(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        quantized = False
        for component in components:
            model = component_model(component, precision, opset, metadata_of(checkpoint, component.role, form))
            quantized |= any(node.op_type == "MatMulNBits" for node in model.graph.node)
            path = folder / f"{component.name}.onnx"
            save(model, path)
            yield Written(component, path, (path,))
        if precision in _EIGHT_BIT_WEIGHTS and not quantized:
            what = "classifier" if precision == "int8-heads" else "layer on one vector"
            raise ExportError(f"no {what} here has {SMALLEST_MATRIX} weights or more; export it as fp32 or int8")

    def write_int8(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        floats = list(write(components, folder))
        sessions = {written.component.name: open_session(written.path) for written in floats}
        inputs = record_inputs(manifest_of(checkpoint, floats, folder, form), sessions, calibration)
        for written in floats:
            model, float_layers = quantize(onnx.load(written.path), inputs[written.component.name], method)
            save(model, written.path)
            yield dataclasses.replace(written, float_layers=float_layers)

    return write_bundle(checkpoint, Path(out), write_int8 if precision == "int8" else write, form, overwrite)


_EIGHT_BIT_WEIGHTS = {"int8-heads": large_heads, "int8-vectors": large_vectors}
"""Which layers are in 8 bits, by precision."""


def component_model(
    component: Component, precision: Precision, opset: int = OPSET, metadata: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """One component as an ONNX model in a precision; for ``int8`` as :func:`quantize` takes it, in fp32 still.

    Raises:
        ExportError: see :func:`gfnet_export.onnx.convert.convert`, or a weight is larger than fp16 holds.
    """
    model = convert(component, opset, metadata, for_cpu=precision not in ("fp16", "int8"))
    if precision == "fp16":
        return to_fp16(model)
    if precision == "int8-storage":
        return store_in_8_bits(model)
    find_layers = _EIGHT_BIT_WEIGHTS.get(precision)
    return model if find_layers is None else quantize_vectors(model, find_layers(model))
