"""Operations that read or write at places: slices, gathers, scatters."""

from __future__ import annotations

import torch
from torch import Tensor

from gfnet_export.mil.ops.registry import axis_of, bounded, ints, op

# Slices


@op
def _slice_by_index(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    rank = x.dim()
    starts, ends = ints(begin), ints(end)
    strides = [1] * rank if stride is None else ints(stride)
    open_start, open_end, single = (
        [0] * rank if mask is None else ints(mask) for mask in (begin_mask, end_mask, squeeze_mask)
    )
    if any(len(given) != rank for given in (starts, ends, strides, open_start, open_end, single)):
        raise ValueError(f"begin, end, stride and masks do not all fit {rank} dimensions")
    for dim in reversed(range(rank)):  # a dimension that falls away must not move those still to come
        if single[dim]:
            x = x.select(dim, 0 if open_start[dim] else starts[dim])
            continue
        cut = slice(None if open_start[dim] else starts[dim], None if open_end[dim] else ends[dim], strides[dim])
        places = range(*cut.indices(x.shape[dim]))
        if places.step == 1:
            x = x.narrow(dim, places.start if places else 0, len(places))
        else:
            x = x.index_select(dim, torch.tensor(places, dtype=torch.long))
    return x


@op
def _slice_by_size(x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    for dim, (start, count) in enumerate(zip(ints(begin), ints(size), strict=True)):
        start += x.shape[dim] if start < 0 else 0
        x = x.narrow(dim, start, x.shape[dim] - start if count == -1 else count)
    return x


@op
def _slice_update(
    x: Tensor,
    update: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    places = _slice_by_index(_places(x), begin, end, stride, begin_mask, end_mask, squeeze_mask)
    return _put(x, places, update, "update")


# Gathers


@op
def _gather(
    x: Tensor,
    indices: Tensor,
    axis: Tensor | None = None,
    batch_dims: Tensor | None = None,
    validate_indices: Tensor | None = None,
) -> Tensor:
    dim, batch = axis_of(axis, x.dim(), 0), 0 if batch_dims is None else int(batch_dims)
    bounded([*x.shape[:dim], *indices.shape[batch:], *x.shape[dim + 1 :]])
    found = x.movedim(dim, batch)[(*_batches(indices, batch), indices.long())]
    # What was indexed came to stand right behind the batch.
    count = indices.dim() - batch
    return found.movedim(tuple(range(batch, batch + count)), tuple(range(dim, dim + count)))


@op
def _gather_along_axis(
    x: Tensor, indices: Tensor, axis: Tensor | None = None, validate_indices: Tensor | None = None
) -> Tensor:
    dim = axis_of(axis, x.dim(), 0)
    places = indices.long()
    return torch.gather(x, dim, torch.where(places < 0, places + x.shape[dim], places))


@op
def _gather_nd(
    x: Tensor, indices: Tensor, batch_dims: Tensor | None = None, validate_indices: Tensor | None = None
) -> Tensor:
    batch = 0 if batch_dims is None else int(batch_dims)
    bounded([*indices.shape[:-1], *x.shape[batch + indices.shape[-1] :]])
    return x[(*_batches(indices[..., 0], batch), *indices.long().unbind(-1))]


# Scatters: the places that a gather would read are written.


@op
def _scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: Tensor | None = None,
    mode: str = "add",
    validate_indices: Tensor | None = None,
) -> Tensor:
    return _put(data, _gather(_places(data), indices, axis), updates, mode)


@op
def _scatter_along_axis(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: Tensor | None = None,
    mode: str = "add",
    validate_indices: Tensor | None = None,
) -> Tensor:
    return _put(data, _gather_along_axis(_places(data), indices, axis), updates, mode)


@op
def _scatter_nd(
    data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add", validate_indices: Tensor | None = None
) -> Tensor:
    return _put(data, _gather_nd(_places(data), indices), updates, mode)


# Others


@op
def _one_hot(
    indices: Tensor,
    one_hot_vector_size: Tensor,
    axis: Tensor | None = None,
    on_value: Tensor | None = None,
    off_value: Tensor | None = None,
) -> Tensor:
    count = int(one_hot_vector_size)
    bounded([*indices.shape, count])
    dim = axis_of(axis, indices.dim() + 1, -1)
    on = torch.tensor(1, dtype=torch.int32) if on_value is None else on_value
    off = torch.zeros((), dtype=on.dtype) if off_value is None else off_value
    shape = [1] * (indices.dim() + 1)
    shape[dim] = count
    return torch.where(indices.unsqueeze(dim) == torch.arange(count).reshape(shape), on, off)


@op
def _non_zero(x: Tensor) -> Tensor:
    return torch.nonzero(x).int()


def _places(x: Tensor) -> Tensor:
    """Each element's own number."""
    return torch.arange(x.numel()).reshape(x.shape)


def _batches(indices: Tensor, count: int) -> list[Tensor]:
    """For each of the leading dimensions: the place itself, so that each row is read at its own indices."""
    return [
        torch.arange(indices.shape[dim]).reshape([-1 if other == dim else 1 for other in range(indices.dim())])
        for dim in range(count)
    ]


def _put(data: Tensor, places: Tensor, updates: Tensor, mode: str) -> Tensor:
    """``data`` whose elements at ``places`` are combined with ``updates``."""
    if places.shape != updates.shape:
        raise ValueError(f"updates are {list(updates.shape)}, but {list(places.shape)} places are written")
    flat, at, values = data.flatten().clone(), places.flatten(), updates.flatten().to(data.dtype)
    if mode == "update":
        flat[at] = values
    elif mode in ("add", "sub"):
        flat.index_add_(0, at, values, alpha=1 if mode == "add" else -1)
    elif mode == "div":
        flat /= torch.ones_like(flat).scatter_reduce(0, at, values, "prod")
    else:
        flat = flat.scatter_reduce(0, at, values, {"mul": "prod", "max": "amax", "min": "amin"}[mode])
    return flat.reshape(data.shape)
