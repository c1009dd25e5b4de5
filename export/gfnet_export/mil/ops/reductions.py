"""Operations that combine elements along axes: sums, extremes, order."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gfnet_export.mil.ops.registry import OPS, axes_of, axis_of, flag, op


def _product(x: Tensor, dim: tuple[int, ...], keepdim: bool) -> Tensor:
    for each in sorted(dim, reverse=True):
        x = x.prod(each, keepdim=keepdim)
    return x


_REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "reduce_l1_norm": lambda x, **axes: x.abs().sum(**axes),
    "reduce_l2_norm": lambda x, **axes: x.square().sum(**axes).sqrt(),
    "reduce_log_sum": lambda x, **axes: x.sum(**axes).log(),
    "reduce_log_sum_exp": torch.logsumexp,
    "reduce_max": torch.amax,
    "reduce_mean": torch.mean,
    "reduce_min": torch.amin,
    "reduce_prod": _product,
    "reduce_sum": torch.sum,
    "reduce_sum_square": lambda x, **axes: x.square().sum(**axes),
}


_FRACTIONS = ("reduce_l2_norm", "reduce_log_sum", "reduce_log_sum_exp", "reduce_mean")


def _reduction(compute: Callable[..., Tensor], wide: torch.dtype) -> Callable[..., Tensor]:
    """An operation on axes; of integers it computes in the type ``wide``, and what comes after the point is dropped."""

    def reduce(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None) -> Tensor:
        dims = tuple(axes_of(axes, x.dim()))
        if not dims:  # torch would take all of them
            return reduce(x.unsqueeze(-1), torch.tensor([-1]))
        values = x if x.is_floating_point() else x.to(wide)
        return compute(values, dim=dims, keepdim=flag(keep_dims)).to(x.dtype)

    return reduce


OPS |= {
    name: _reduction(compute, torch.float64 if name in _FRACTIONS else torch.int64)
    for name, compute in _REDUCTIONS.items()
}


@op
def _reduce_argmax(
    x: Tensor, axis: Tensor | None = None, keep_dims: Tensor | None = None, output_dtype: str = "int32"
) -> Tensor:
    return torch.argmax(x, axis_of(axis, x.dim(), -1), keepdim=flag(keep_dims)).int()


@op
def _reduce_argmin(
    x: Tensor, axis: Tensor | None = None, keep_dims: Tensor | None = None, output_dtype: str = "int32"
) -> Tensor:
    return torch.argmin(x, axis_of(axis, x.dim(), -1), keepdim=flag(keep_dims)).int()


@op
def _softmax(x: Tensor, axis: Tensor | None = None) -> Tensor:
    return torch.softmax(x, axis_of(axis, x.dim(), -1))


@op
def _cumsum(
    x: Tensor, axis: Tensor | None = None, exclusive: Tensor | None = None, reverse: Tensor | None = None
) -> Tensor:
    dim = axis_of(axis, x.dim(), 0)
    values = x.flip(dim) if flag(reverse) else x
    sums = values.cumsum(dim, dtype=x.dtype)
    sums = sums - values if flag(exclusive) else sums
    return sums.flip(dim) if flag(reverse) else sums


@op
def _argsort(x: Tensor, axis: Tensor | None = None, ascending: Tensor | None = None) -> Tensor:
    return torch.argsort(x, dim=axis_of(axis, x.dim(), -1), descending=not flag(ascending), stable=True).int()


@op
def _topk(
    x: Tensor,
    k: Tensor | None = None,
    axis: Tensor | None = None,
    ascending: Tensor | None = None,
    sort: Tensor | None = None,
    return_indices: Tensor | None = None,
    output_indices_dtype: str = "int32",
) -> Tensor | tuple[Tensor, Tensor]:
    dim = axis_of(axis, x.dim(), -1)
    count = 1 if k is None else int(k)
    values, places = torch.sort(x, dim=dim, descending=not flag(ascending), stable=True)
    values, places = (found.narrow(dim, 0, x.shape[dim] if count == -1 else count) for found in (values, places))
    return (values, places.int()) if return_indices is None or flag(return_indices) else values
