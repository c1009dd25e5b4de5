"""What the operations of an ML program compute, one small function each, on torch.

Parameters are called as in Core ML's MIL reference.  Floating-point tensors come and go as float32: rounding to the
declared type is the interpreter's business.  Integers and flags that steer an operation arrive as tensors too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gfnet_export.mil.values import MOST_ELEMENTS, unpack

OPS: dict[str, Callable[..., Any]] = {}
"""Operation type to function; results are a tensor, or a tuple of them."""

CONSTANT_OPS = ("const", "constexpr_")
"""What types begin with whose results do not depend on a function's inputs."""


def _op(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enter a function into :data:`OPS` under its own name."""
    OPS[function.__name__.removeprefix("_")] = function
    return function


_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "exp": torch.exp,
    "floor": torch.floor,
    "identity": lambda x: x,
    "relu": torch.relu,
    "relu6": F.relu6,
    "rsqrt": torch.rsqrt,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softsign": F.softsign,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tanh": torch.tanh,
}
_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mul": torch.mul,
    "pow": torch.pow,
    "real_div": torch.div,
    "sub": torch.sub,
}
_REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "reduce_max": torch.amax,
    "reduce_mean": torch.mean,
    "reduce_min": torch.amin,
    "reduce_sum": torch.sum,
}


def _elementwise(compute: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x: compute(x)


def _pairwise(compute: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x, y: compute(x, y)


def _reduction(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None) -> Tensor:
        dims = tuple(range(x.dim())) if axes is None else _ints(axes)
        return compute(x, dim=dims, keepdim=_flag(keep_dims))

    return reduce


OPS |= {name: _elementwise(compute) for name, compute in _UNARY.items()}
OPS |= {name: _pairwise(compute) for name, compute in _BINARY.items()}
OPS |= {name: _reduction(compute) for name, compute in _REDUCTIONS.items()}


# Activations


@_op
def _clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, alpha), beta)


@_op
def _gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


@_op
def _leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, alpha * x)


@_op
def _sigmoid_hard(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return (alpha * x + beta).clamp(0, 1)


@_op
def _softmax(x: Tensor, axis: Tensor | None = None) -> Tensor:
    return torch.softmax(x, -1 if axis is None else int(axis))


@_op
def _thresholded_relu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= alpha, x, torch.zeros(()))


# Layers


@_op
def _batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | None = None,
) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, eps=1e-5 if epsilon is None else float(epsilon))


@_op
def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | None = None,
) -> Tensor:
    window = _Window(x, weight.shape[2:], strides, dilations, pad_type, pad)
    window.check(channels=weight.shape[0])
    apply = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(window.kernel)]
    return apply(
        window.pad(x),
        weight,
        bias,
        stride=window.strides,
        dilation=window.dilations,
        groups=1 if groups is None else int(groups),
    )


@_op
def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


@_op
def _matmul(x: Tensor, y: Tensor, transpose_x: Tensor | None = None, transpose_y: Tensor | None = None) -> Tensor:
    return (x.mT if _flag(transpose_x) else x) @ (y.mT if _flag(transpose_y) else y)


@_op
def _avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    exclude_padding_from_average: Tensor | None = None,
    ceil_mode: Tensor | None = None,
) -> Tensor:
    window = _Window(x, _ints(kernel_sizes), strides, None, pad_type, pad, ceil_mode)
    window.check(channels=x.shape[1])
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(window.kernel)]
    means = pool(window.pad(x), window.kernel, window.strides)
    counted = 0.0 if _flag(exclude_padding_from_average) else 1.0
    return means / pool(window.pad(torch.ones_like(x[:1, :1]), counted), window.kernel, window.strides)


@_op
def _max_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    ceil_mode: Tensor | None = None,
) -> Tensor:
    window = _Window(x, _ints(kernel_sizes), strides, None, pad_type, pad, ceil_mode)
    window.check(channels=x.shape[1])
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(window.kernel)]
    return pool(window.pad(x, -math.inf, -math.inf), window.kernel, window.strides)


# Shapes


@_op
def _cast(x: Tensor, dtype: str) -> Tensor:
    if dtype.startswith("fp"):
        return x.float()
    return x.to({"int32": torch.int32, "int16": torch.int16, "int8": torch.int8, "bool": torch.bool}[dtype])


@_op
def _concat(values: Sequence[Tensor], axis: Tensor, interleave: Tensor | None = None) -> Tensor:
    if not _flag(interleave):
        return torch.cat(list(values), int(axis))
    dim = int(axis) % values[0].dim()
    return torch.stack(list(values), dim + 1).flatten(dim, dim + 1)


@_op
def _expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.dim() + len(_ints(axes))
    for axis in sorted(axis % rank for axis in _ints(axes)):
        x = x.unsqueeze(axis)
    return x


@_op
def _reshape(x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(_ints(shape))])


@_op
def _split(
    x: Tensor, axis: Tensor, num_splits: Tensor | None = None, split_sizes: Tensor | None = None
) -> tuple[Tensor, ...]:
    dim = int(axis)
    if split_sizes is not None:
        return torch.split(x, _ints(split_sizes), dim)
    if num_splits is None or x.shape[dim] % int(num_splits):
        raise ValueError("neither sizes nor a number of equal parts")
    return torch.split(x, x.shape[dim] // int(num_splits), dim)


@_op
def _squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(_ints(axes)))


@_op
def _transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(_ints(perm))


# Quantised activations


@_op
def _quantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
    output_dtype: str = "int8",
) -> Tensor:
    low, high = (-128, 127) if output_dtype == "int8" else (0, 255)
    steps = torch.round(input / _along(scale, input, axis))
    if zero_point is not None:
        steps = steps + _along(zero_point.float(), input, axis)
    return steps.clamp(low, high).to(torch.int8 if output_dtype == "int8" else torch.uint8)


@_op
def _dequantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    steps = input.float()
    if zero_point is not None:
        steps = steps - _along(zero_point.float(), input, axis)
    return steps * _along(scale, input, axis)


# Compressed constants


@_op
def _constexpr_affine_dequantize(quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: Tensor) -> Tensor:
    return _dequantize(quantized_data, scale, zero_point, axis)


@_op
def _constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    values = data.float()
    if offset is not None:
        values = values - _blocks(offset.float(), data)
    return values * _blocks(scale, data)


@_op
def _constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    return _cast(source_val, output_dtype)


@_op
def _constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Tensor | None = None, vector_axis: Tensor | None = None
) -> Tensor:
    if shape is not None:  # before iOS 18: one palette, packed indices
        sizes = _ints(shape)
        bits, count = int(math.log2(len(lut))), math.prod(sizes)
        if count > MOST_ELEMENTS:
            raise ValueError(f"{count} elements are too many")
        return lut[torch.from_numpy(unpack(indices.numpy(), bits, count)).long()].reshape(sizes)
    # From iOS 18 on: a palette for each block of indices, whose entries may be vectors along an axis.
    *groups, entries, width = lut.shape
    places = _blocks(torch.arange(math.prod(groups)).reshape(groups), indices).expand(indices.shape)
    vectors = lut.reshape(-1, entries, width)[places, indices.long()]
    if width == 1:
        return vectors[..., 0]
    if vector_axis is None:
        raise ValueError("a palette of vectors needs an axis")
    dim = int(vector_axis) % indices.dim()
    return vectors.movedim(-1, dim + 1).flatten(dim, dim + 1)


@_op
def _constexpr_sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Tensor | None = None) -> Tensor:
    if shape is not None:  # before iOS 18: a packed mask
        sizes = _ints(shape)
        if math.prod(sizes) > MOST_ELEMENTS:
            raise ValueError(f"{math.prod(sizes)} elements are too many")
        mask = torch.from_numpy(unpack(mask.numpy(), 1, math.prod(sizes))).reshape(sizes)
    dense = torch.zeros(mask.shape, dtype=nonzero_data.dtype)
    dense[mask.bool()] = nonzero_data
    return dense


# Helpers


def _ints(values: Tensor | Sequence[int]) -> list[int]:
    return [int(value) for value in (values.reshape(-1).tolist() if isinstance(values, Tensor) else values)]


def _flag(value: Tensor | None) -> bool:
    return value is not None and bool(value)


def _along(values: Tensor, like: Tensor, axis: Tensor | None) -> Tensor:
    """One value for all of ``like``, or one for each place along ``axis``."""
    if values.dim() == 0 or axis is None:
        return values
    shape = [1] * like.dim()
    shape[int(axis)] = -1
    return values.reshape(shape)


def _blocks(values: Tensor, like: Tensor) -> Tensor:
    """``values`` repeated so that each stands for a block of ``like``."""
    if values.dim() != like.dim() or any(size % part for size, part in zip(like.shape, values.shape, strict=True)):
        raise ValueError(f"{list(values.shape)} blocks do not divide {list(like.shape)}")
    for dim, (size, part) in enumerate(zip(like.shape, values.shape, strict=True)):
        if part not in (1, size):
            values = values.repeat_interleave(size // part, dim)
    return values


class _Window:
    """Kernel, strides and padding of a convolution or a pooling.

    Attributes:
        kernel: side lengths.
        strides: likewise.
        dilations: likewise.
        pads: before and after, for each dimension.
    """

    def __init__(
        self,
        x: Tensor,
        kernel: Sequence[int],
        strides: Tensor | None,
        dilations: Tensor | None,
        pad_type: str,
        pad: Tensor | None,
        ceil_mode: Tensor | None = None,
    ) -> None:
        self.sizes, self.kernel = list(x.shape[2:]), list(kernel)
        self.strides = [1] * len(self.kernel) if strides is None else _ints(strides)
        self.dilations = [1] * len(self.kernel) if dilations is None else _ints(dilations)
        if {len(self.sizes), len(self.strides), len(self.dilations)} != {len(self.kernel)}:
            raise ValueError("kernel, strides and dilations are not of the input's dimensions")
        if min(*self.kernel, *self.strides, *self.dilations) < 1:
            raise ValueError("kernel, strides and dilations must be positive")
        self.pads = self._pads(pad_type, pad)
        if min(map(min, self.pads)) < 0:
            raise ValueError("padding must not be negative")
        self.beyond = self._beyond() if _flag(ceil_mode) else [0] * len(self.kernel)

    def pad(self, x: Tensor, value: float = 0.0, beyond: float = 0.0) -> Tensor:
        """``x`` with ``value`` around it and, where the last windows reach further, ``beyond`` behind that."""
        # torch wants the last dimension first.
        padded = F.pad(x, [size for pair in reversed(self.pads) for size in pair], value=value)
        return F.pad(padded, [size for extra in reversed(self.beyond) for size in (0, extra)], value=beyond)

    def check(self, channels: int) -> None:
        """Refuse what a damaged file could ask for: tensors far larger than any network's."""
        padded = [
            size + sum(pair) + extra for size, pair, extra in zip(self.sizes, self.pads, self.beyond, strict=True)
        ]
        if math.prod(padded) * max(channels, 1) > MOST_ELEMENTS:
            raise ValueError(f"a window over {padded} and {channels} channels is too large")

    def _beyond(self) -> list[int]:
        """How far windows reach behind the padding when their number is rounded up; none begins there, as in torch."""
        extra = []
        for size, pair, kernel, stride in zip(self.sizes, self.pads, self.kernel, self.strides, strict=True):
            windows = math.ceil((size + sum(pair) - kernel) / stride) + 1
            windows -= (windows - 1) * stride >= size + pair[0]
            extra.append(max((windows - 1) * stride + kernel - size - sum(pair), 0))
        return extra

    def _pads(self, pad_type: str, pad: Tensor | None) -> list[tuple[int, int]]:
        if pad_type == "valid":
            return [(0, 0)] * len(self.kernel)
        if pad_type == "custom":
            given = _ints(pad) if pad is not None else []
            if len(given) != 2 * len(self.kernel):
                raise ValueError("custom padding needs two numbers for each dimension")
            return list(zip(given[::2], given[1::2], strict=True))
        if pad_type not in ("same", "same_lower"):
            raise ValueError(f"padding {pad_type!r} is not known here")
        totals = [
            max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            for size, kernel, stride, dilation in zip(
                self.sizes, self.kernel, self.strides, self.dilations, strict=True
            )
        ]
        less_first = [(total // 2, total - total // 2) for total in totals]
        return less_first if pad_type == "same" else [(after, before) for before, after in less_first]


def as_tensor(value: np.ndarray) -> Tensor:
    """A constant as operations take it: floating point as float32, integers as they are."""
    if value.dtype.kind == "f":
        return torch.from_numpy(value.astype(np.float32))
    if value.dtype in (np.uint16, np.uint32, np.uint64):  # torch computes little with these
        return torch.from_numpy(value.astype(np.int64))
    return torch.from_numpy(np.array(value))
