"""Operations that make, arrange, join and part tensors, and compute nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gfnet_export.mil.ops.registry import axes_of, axis_of, bounded, flag, ints, op


@op
def _concat(values: Sequence[Tensor], axis: Tensor, interleave: Tensor | None = None) -> Tensor:
    dim = axis_of(axis, values[0].dim(), 0)
    _check_total(values)
    if not flag(interleave):
        return torch.cat(list(values), dim)
    return torch.stack(list(values), dim + 1).flatten(dim, dim + 1)


@op
def _stack(values: Sequence[Tensor], axis: Tensor) -> Tensor:
    _check_total(values)
    return torch.stack(list(values), axis_of(axis, values[0].dim() + 1, 0))


@op
def _split(
    x: Tensor, axis: Tensor, num_splits: Tensor | None = None, split_sizes: Tensor | None = None
) -> tuple[Tensor, ...]:
    dim = axis_of(axis, x.dim(), 0)
    if split_sizes is not None:
        return torch.split(x, ints(split_sizes), dim)
    if num_splits is None or int(num_splits) < 1 or x.shape[dim] % int(num_splits):
        raise ValueError("neither sizes nor a number of equal parts")
    return torch.split(x, x.shape[dim] // int(num_splits), dim)


@op
def _expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axes_of(axes, x.dim() + len(ints(axes)))):
        x = x.unsqueeze(axis)
    return x


@op
def _squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(ints(axes)))


@op
def _reshape(x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(ints(shape))])


@op
def _reshape_like(
    x: Tensor,
    ref_tensors: Sequence[Tensor],
    begins: Sequence[Tensor],
    ends: Sequence[Tensor],
    end_masks: Sequence[Tensor],
) -> Tensor:
    shape: list[int] = []
    for like, begin, end, to_the_end in zip(ref_tensors, begins, ends, end_masks, strict=True):
        shape += like.shape[int(begin) : None if flag(to_the_end) else int(end)]
    return x.reshape(shape)


@op
def _flatten2d(x: Tensor, axis: Tensor | None = None) -> Tensor:
    dim = 1 if axis is None else int(axis)
    return x.reshape(math.prod(x.shape[:dim]), math.prod(x.shape[dim:]))


@op
def _transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(ints(perm))


@op
def _reverse(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.flip(axes_of(axes, x.dim()))


@op
def _reverse_sequence(
    x: Tensor, lengths: Tensor, seq_axis: Tensor | None = None, batch_axis: Tensor | None = None
) -> Tensor:
    along, batch = axis_of(seq_axis, x.dim(), 0), axis_of(batch_axis, x.dim(), 0)
    rows = x.movedim((batch, along), (0, 1))
    reversed_rows = [
        torch.cat([row[:length].flip(0), row[length:]]) for row, length in zip(rows, ints(lengths), strict=True)
    ]
    return torch.stack(reversed_rows).movedim((0, 1), (batch, along))


@op
def _tile(x: Tensor, reps: Tensor) -> Tensor:
    times = ints(reps)
    if len(times) != x.dim() or min(times, default=1) < 1:
        raise ValueError(f"it cannot be repeated {times} times")
    bounded([size * count for size, count in zip(x.shape, times, strict=True)])
    return x.repeat(times)


@op
def _pad(x: Tensor, pad: Tensor, mode: str = "constant", constant_val: Tensor | None = None) -> Tensor:
    given = ints(pad)
    if len(given) % 2 or len(given) > 2 * x.dim() or min(given, default=0) < 0:
        raise ValueError(f"padding {given} does not fit {x.dim()} dimensions")
    # The last dimensions are padded; those before them are not.
    pairs = [(0, 0)] * (x.dim() - len(given) // 2) + list(zip(given[::2], given[1::2], strict=True))
    bounded([size + before + after for size, (before, after) in zip(x.shape, pairs, strict=True)])
    if mode == "constant":
        value = 0 if constant_val is None else constant_val.item()
        return F.pad(x, [size for pair in reversed(pairs) for size in pair], value=value)
    for dim, (before, after) in enumerate(pairs):
        if before or after:
            x = x.index_select(dim, _mirrored(x.shape[dim], before, after, mode))
    return x


@op
def _fill(shape: Tensor, value: Tensor | None = None) -> Tensor:
    return _filled(ints(shape), value)


@op
def _fill_like(ref_tensor: Tensor, value: Tensor | None = None) -> Tensor:
    return _filled(ref_tensor.shape, value)


@op
def _range_1d(end: Tensor, start: Tensor, step: Tensor) -> Tensor:
    first, last, stride = start.item(), end.item(), step.item()
    bounded([max(math.ceil((last - first) / stride), 0)])
    return torch.arange(first, last, stride, dtype=start.dtype)


@op
def _shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


@op
def _band_part(x: Tensor, lower: Tensor | None = None, upper: Tensor | None = None) -> Tensor:
    below = torch.arange(x.shape[-2])[:, None] - torch.arange(x.shape[-1])
    kept = torch.ones_like(below, dtype=torch.bool)
    if lower is not None and int(lower) >= 0:
        kept &= below <= int(lower)
    if upper is not None and int(upper) >= 0:
        kept &= -below <= int(upper)
    return torch.where(kept, x, torch.zeros((), dtype=x.dtype))


@op
def _sliding_windows(x: Tensor, axis: Tensor, size: Tensor, stride: Tensor | None = None) -> Tensor:
    dim = axis_of(axis, x.dim(), 0)
    windows = x.unfold(dim, int(size), 1 if stride is None else int(stride)).movedim(-1, dim + 1)
    bounded(windows.shape)
    return windows


# Pixels to channels and back


@op
def _pixel_shuffle(x: Tensor, upscale_factor: Tensor) -> Tensor:
    return F.pixel_shuffle(x, int(upscale_factor))


@op
def _pixel_unshuffle(x: Tensor, downscale_factor: Tensor) -> Tensor:
    return F.pixel_unshuffle(x, int(downscale_factor))


@op
def _depth_to_space(x: Tensor, block_size: Tensor) -> Tensor:
    """As in TensorFlow: the place within a block is the slowest part of a channel's number."""
    block = int(block_size)
    count, channels, height, width = x.shape
    parts = x.reshape(count, block, block, channels // block**2, height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(count, channels // block**2, height * block, width * block)


@op
def _space_to_depth(x: Tensor, block_size: Tensor) -> Tensor:
    block = int(block_size)
    count, channels, height, width = x.shape
    parts = x.reshape(count, channels, height // block, block, width // block, block)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(count, channels * block**2, height // block, width // block)


@op
def _space_to_batch(x: Tensor, block_shape: Tensor, paddings: Tensor) -> Tensor:
    rows, columns = ints(block_shape)
    x = _pad(x, paddings)
    count, channels, height, width = x.shape
    parts = x.reshape(count, channels, height // rows, rows, width // columns, columns)
    return parts.permute(3, 5, 0, 1, 2, 4).reshape(-1, channels, height // rows, width // columns)


@op
def _batch_to_space(x: Tensor, block_shape: Tensor, crops: Tensor) -> Tensor:
    rows, columns = ints(block_shape)
    count, channels, height, width = x.shape
    parts = x.reshape(rows, columns, count // (rows * columns), channels, height, width)
    joined = parts.permute(2, 3, 4, 0, 5, 1).reshape(-1, channels, height * rows, width * columns)
    return _cropped(joined, ints(crops))


@op
def _crop(x: Tensor, crop_height: Tensor, crop_width: Tensor) -> Tensor:
    return _cropped(x, [*ints(crop_height), *ints(crop_width)])


def _cropped(x: Tensor, edges: list[int]) -> Tensor:
    top, bottom, left, right = edges
    height, width = x.shape[-2] - top - bottom, x.shape[-1] - left - right
    if min(*edges, height, width) < 0:
        raise ValueError(f"{edges} cannot be cut off {list(x.shape)}")
    return x[..., top : top + height, left : left + width]


def _check_total(values: Sequence[Tensor]) -> None:
    """Refuse to join what is too large in all: one tensor may be given a thousand times."""
    bounded([sum(value.numel() for value in values)])


def _filled(shape: Sequence[int], value: Tensor | None) -> Tensor:
    value = torch.zeros(()) if value is None else value
    return torch.full(bounded(shape), value.item(), dtype=value.dtype)


def _mirrored(size: int, before: int, after: int, mode: str) -> Tensor:
    """Where the elements of a padded dimension come from."""
    places = torch.arange(-before, size + after)
    if mode == "replicate" and size:
        return places.clamp(0, size - 1)
    if mode != "reflect":
        raise ValueError(f"padding mode {mode!r} is not known here")
    if max(before, after) >= size:
        raise ValueError(f"{size} elements cannot be reflected over {max(before, after)}")
    places = places.abs()
    return torch.where(places < size, places, 2 * (size - 1) - places)
