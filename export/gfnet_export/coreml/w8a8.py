"""8-bit activations and weights for a Core ML package, calibrated on any machine.

coremltools finds the ranges of activations by predicting, which needs macOS, and its release 9.0 keeps the last
sample's range only.  Here the interpreter of ML programs finds them, over all samples.  coremltools' own pass then
computes scales and zero points in float16: from 512 on that overflows, and values below zero are cut off.  So the
pairs are inserted here, where coremltools would insert them, with parameters found in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from gfnet.errors import ExportError
from gfnet_export.bundle import tensor_names as names
from gfnet_export.coreml.convert import quantize_weights
from gfnet_export.mil.interpreter import Interpreter
from gfnet_export.mil.package import Function, read_package
from gfnet_export.quiet import quietly

with quietly():
    import coremltools as ct

    # Private, of coremltools 9.0, which is pinned.  Building and saving programs has no public form.
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.milproto import load as milproto
    from coremltools.converters.mil.mil import Block, Operation, Program, Var, types
    from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
    from coremltools.models.utils import _apply_graph_pass

_IOS17 = 8  # specification version; `quantize` and `dequantize` are not known before
# As in coremltools, which says `hard_sigmoid`, though no operation is called so.  Core ML takes a layer, or a layer and
# its activation, with pairs before and behind for one of 8 bits.
_LAYERS = ("conv", "linear", "avg_pool", "max_pool", "add")
_ACTIVATIONS = ("leaky_relu", "relu", "relu6", "scaled_tanh", "sigmoid", "sigmoid_hard", "tanh")
# Smaller ones are subnormal in float16.  What is always zero gets this one.
_SMALLEST_SCALE = float(np.finfo(np.float16).smallest_normal)


@dataclass(frozen=True)
class Range:
    """The values that a tensor was seen to take.

    Attributes:
        low: the smallest.
        high: the largest.
    """

    low: float
    high: float

    def quantization(self, dtype: type[np.floating]) -> tuple[np.floating, np.int8]:
        """Scale and zero point for int8, with which zero stays exactly zero.

        Args:
            dtype: of the scale.
        """
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = dtype(max((high - low) / 255, _SMALLEST_SCALE))
        return scale, np.int8(np.clip(round(-128 - low / float(scale)), -128, 127))


def find_ranges(function: Function, samples: Iterable[Mapping[str, np.ndarray]]) -> dict[str, Range]:
    """Run a function on samples, and see between which values its tensors lie, over all samples.

    Args:
        samples: inputs by name.

    Returns:
        Ranges of floating-point tensors by name; constants are left out.

    Raises:
        ExportError: there are no samples, or a tensor has values that are NaN or infinite.
        MilError: a sample is not what the function takes, or the program is damaged.
    """
    interpreter = Interpreter(function)
    ranges: dict[str, Range] = {}

    def watch(name: str, value: Tensor) -> None:
        if not value.is_floating_point():
            return
        low, high = float(value.min()), float(value.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ExportError(f"{name}: is NaN or infinite for a calibration image; use other images, or another form")
        before = ranges.get(name, Range(low, high))
        ranges[name] = Range(min(before.low, low), max(before.high, high))

    for sample in samples:
        interpreter(sample, watch)
    if not ranges:
        raise ExportError("8-bit activations need calibration images; there are none")
    return ranges


def quantize_activations(package: str | Path, samples: Iterable[Mapping[str, np.ndarray]]) -> ct.models.MLModel:
    """A package with int8 activations and int8 weights.

    Layers (convolutions, products, pooling, sums) read int8, and leave int8 behind, but for what leaves the graph
    without passing another layer: logits, memories and feature maps are as fine as they were.  A policy keeps its
    activations: its error moves patches, and it costs next to nothing.  Its action's layer keeps its weights too.

    Args:
        package: an ``.mlpackage`` for iOS 17 or newer with one function, float16 or float32, not compressed.
        samples: inputs by name, of the images to calibrate on.

    Raises:
        ExportError: the package is for an older system; there are no samples; a tensor is not finite.
        MilError: a sample is not what the package takes, or the package is damaged.
    """
    opened = read_package(package)
    if opened.specification_version < _IOS17:
        raise ExportError(f"{package}: 8-bit activations need iOS17; export it for that")
    function = opened.function()
    policy = names.ACTION in function.outputs
    ranges = {} if policy else find_ranges(function, samples)
    with quietly():
        model = ct.models.MLModel(str(package), skip_model_load=True)
        try:
            if not policy:
                model = _apply_graph_pass(
                    model,
                    _Pairs(ranges, _leaving(function)),
                    _IOS17,
                    skip_model_load=True,
                    pymil_load_func=milproto.load,
                )
            return quantize_weights(model)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ExportError(f"{package}: has no 8-bit form ({str(error).splitlines()[0]})") from error


def _leaving(function: Function) -> frozenset[str]:
    """Tensors from which an output is computed without another layer."""
    makers = {name: operation for operation in function.operations for name, _ in operation.outputs}
    found: set[str] = set()
    todo = list(function.outputs)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        maker = makers.get(name)
        if maker is not None and maker.type not in _LAYERS:
            todo += [read for values in maker.inputs.values() for read in values if isinstance(read, str)]
    return frozenset(found)


class _Pairs(AbstractGraphPass):  # type: ignore[misc]  # coremltools has no types
    """Inserts ``quantize`` and ``dequantize`` before and behind layers.

    Args:
        ranges: by tensor.
        leaving: tensors behind which there are none.
    """

    def __init__(self, ranges: Mapping[str, Range], leaving: frozenset[str]) -> None:
        super().__init__()
        self.ranges, self.leaving = ranges, leaving

    def apply(self, prog: Program) -> None:
        for block in prog.functions.values():
            with block:
                self._apply(block)

    def _apply(self, block: Block) -> None:
        operations = list(block.operations)
        place = {operation: index for index, operation in enumerate(operations)}
        pairs: dict[Var, Var] = {}

        def pair(var: Var, before: Operation) -> Var:
            """What ``var`` is after it was rounded; it must not be read before ``before``."""
            if var not in pairs:
                dtype = np.float16 if var.dtype == types.fp16 else np.float32
                scale, zero = self.ranges[var.name].quantization(dtype)
                steps = Builder.quantize(input=var, scale=scale, zero_point=zero, output_dtype="int8", before_op=before)
                pairs[var] = Builder.dequantize(input=steps, scale=scale, zero_point=zero, before_op=before)
            return pairs[var]

        def known(var: Var) -> bool:
            return _is_rounded(var) or var.name in self.ranges

        for operation in operations:
            read = {key: operation.inputs[key] for key in ("x", "y") if operation.inputs.get(key) is not None}
            if operation.op_type not in _LAYERS or not all(map(known, read.values())):  # adding a constant is no layer
                continue
            for key, var in read.items():
                if not _is_rounded(var):
                    operation.set_inputs(**{key: pair(var, operation)})
            result = operation.outputs[0]
            if len(result.child_ops) == 1 and result.child_ops[0].op_type in _ACTIVATIONS:
                result = result.child_ops[0].outputs[0]
            if result.child_ops and result.name not in self.leaving:
                rounded = pair(result, min(result.child_ops, key=place.__getitem__))
                block.try_replace_uses_of_var_after_op(anchor_op=rounded.op, old_var=result, new_var=rounded)


def _is_rounded(var: Var) -> bool:
    return var.op is not None and var.op.op_type == "dequantize"
