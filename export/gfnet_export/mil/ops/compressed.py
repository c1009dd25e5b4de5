"""Quantised activations, and constants that are stored small."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gfnet_export.mil.ops.elementwise import _cast
from gfnet_export.mil.ops.registry import along, bounded, ints, op
from gfnet_export.mil.values import unpack

# Quantised activations


@op
def _quantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
    output_dtype: str = "int8",
) -> Tensor:
    low, high = (-128, 127) if output_dtype == "int8" else (0, 255)
    steps = torch.round(input / along(scale, input, axis))
    if zero_point is not None:
        steps = steps + along(zero_point.float(), input, axis)
    return steps.clamp(low, high).to(torch.int8 if output_dtype == "int8" else torch.uint8)


@op
def _dequantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    steps = input.float()
    if zero_point is not None:
        steps = steps - along(zero_point.float(), input, axis)
    return steps * along(scale, input, axis)


# Constants


@op
def _constexpr_affine_dequantize(quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: Tensor) -> Tensor:
    return _dequantize(quantized_data, scale, zero_point, axis)


@op
def _constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    values = data.float()
    if offset is not None:
        values = values - _blocks(offset.float(), data)
    return values * _blocks(scale, data)


@op
def _constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    return _cast(source_val, output_dtype)


@op
def _constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Tensor | None = None, vector_axis: Tensor | None = None
) -> Tensor:
    if shape is not None:  # before iOS 18: one palette, packed indices
        sizes = bounded(ints(shape))
        bits = int(math.log2(len(lut)))
        return lut[torch.from_numpy(unpack(indices.numpy(), bits, math.prod(sizes))).long()].reshape(sizes)
    # From iOS 18 on: a palette for each block of indices, whose entries may be vectors along an axis.
    *groups, entries, width = lut.shape
    bounded([*indices.shape, width])
    places = _blocks(torch.arange(math.prod(groups)).reshape(groups), indices).expand(indices.shape)
    vectors = lut.reshape(-1, entries, width)[places, indices.long()]
    if width == 1:
        return vectors[..., 0]
    if vector_axis is None:
        raise ValueError("a palette of vectors needs an axis")
    dim = int(vector_axis) % indices.dim()
    return vectors.movedim(-1, dim + 1).flatten(dim, dim + 1)


@op
def _constexpr_sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Tensor | None = None) -> Tensor:
    if shape is not None:  # before iOS 18: a packed mask
        sizes = bounded(ints(shape))
        mask = torch.from_numpy(unpack(mask.numpy(), 1, math.prod(sizes))).reshape(sizes)
    dense = torch.zeros(mask.shape, dtype=nonzero_data.dtype)
    dense[mask.bool()] = nonzero_data
    return dense


# Two compressions of one constant: a mask comes with what it lets through, and both go on to the next operation.


@op
def _constexpr_lut_to_sparse(
    indices_mask: Tensor, indices_nonzero_data: Tensor, lut: Tensor, vector_axis: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    indices = _constexpr_sparse_to_dense(indices_nonzero_data, indices_mask)
    dense = _constexpr_lut_to_dense(indices, lut, vector_axis=vector_axis)
    width = lut.shape[-1]
    mask = indices_mask if width == 1 else indices_mask.repeat_interleave(width, int(vector_axis))  # type: ignore[arg-type]
    return mask, dense[mask.bool()]


@op
def _constexpr_sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    dense = _constexpr_sparse_to_dense(nonzero_data, data_mask)
    return data_mask, _constexpr_blockwise_shift_scale(dense, scale, offset)[data_mask.bool()]


def _blocks(values: Tensor, like: Tensor) -> Tensor:
    """``values`` repeated so that each stands for a block of ``like``."""
    if values.dim() != like.dim() or any(size % part for size, part in zip(like.shape, values.shape, strict=True)):
        raise ValueError(f"{list(values.shape)} blocks do not divide {list(like.shape)}")
    for dim, (size, part) in enumerate(zip(like.shape, values.shape, strict=True)):
        if part not in (1, size):
            values = values.repeat_interleave(size // part, dim)
    return values
