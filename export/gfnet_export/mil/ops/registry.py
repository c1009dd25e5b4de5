"""Where operations are entered, and what all of them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from gfnet_export.mil.values import MOST_ELEMENTS

Op = Callable[..., Any]
AnyOp = TypeVar("AnyOp", bound=Op)

OPS: dict[str, Op] = {}
"""Operation type to function; results are a tensor, or a tuple of them."""

CONSTANT_OPS = ("const", "constexpr_")
"""What types begin with whose results do not depend on a function's inputs."""

LISTS = ("values", "ref_tensors", "begins", "ends", "end_masks")
"""Parameters that are lists of tensors."""


def op(function: AnyOp) -> AnyOp:
    """Enter a function into :data:`OPS` under its own name."""
    OPS[function.__name__.removeprefix("_")] = function
    return function


def as_tensor(value: np.ndarray) -> Tensor:
    """A constant as operations take it: floating point as float32, integers as they are."""
    if value.dtype.kind == "f":
        return torch.from_numpy(value.astype(np.float32))
    if value.dtype in (np.uint16, np.uint32, np.uint64):  # torch computes little with these
        return torch.from_numpy(value.astype(np.int64))
    return torch.from_numpy(np.array(value))


def ints(values: Tensor | Sequence[int]) -> list[int]:
    """A parameter that is a list of integers."""
    return [int(value) for value in (values.reshape(-1).tolist() if isinstance(values, Tensor) else values)]


def flag(value: Tensor | None) -> bool:
    """A parameter that is true or false; false where it is not given."""
    return value is not None and bool(value)


def number(value: Tensor | None, default: float) -> float:
    """A parameter that is one number."""
    return default if value is None else float(value)


def axes_of(axes: Tensor | None, rank: int) -> list[int]:
    """Dimensions counted from the front; all of them where none are given.

    Raises:
        ValueError: a dimension does not exist, or is named twice.
    """
    dims = list(range(rank)) if axes is None else [axis + rank if axis < 0 else axis for axis in ints(axes)]
    if any(not 0 <= dim < rank for dim in dims) or len({*dims}) != len(dims):
        raise ValueError(f"axes {dims} do not fit {rank} dimensions")
    return dims


def axis_of(axis: Tensor | None, rank: int, default: int) -> int:
    """One dimension, counted from the front."""
    return axes_of(torch.tensor([default if axis is None else int(axis)]), rank)[0]


def bounded(shape: Sequence[int]) -> list[int]:
    """A shape that may be allocated: a damaged file can ask for tensors far larger than any network's.

    Raises:
        ValueError: it has too many elements, or a negative size.
    """
    sizes = [int(size) for size in shape]
    if any(size < 0 for size in sizes):
        raise ValueError(f"shape {sizes} has a negative size")
    if math.prod(sizes) > MOST_ELEMENTS:
        raise ValueError(f"shape {sizes} has more elements than any network here")
    return sizes


def broadcast(*tensors: Tensor) -> list[int]:
    """The common shape of tensors that are combined element by element.

    Raises:
        ValueError: it is too large.
        RuntimeError: they do not fit each other.
    """
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))  # type: ignore[no-untyped-call]
    return bounded(shape)


def single(value: Tensor, like: Tensor) -> Tensor:
    """A parameter that is one number, of the type of ``like``.

    Raises:
        RuntimeError: it is several: ``like`` would grow by them.
    """
    return value.reshape(()).to(like.dtype)


def along(values: Tensor, like: Tensor, axis: Tensor | int | None) -> Tensor:
    """One value for all of ``like``, or one for each place along ``axis``.

    Raises:
        ValueError: there are more values than places.
    """
    if values.numel() == 1:
        return values.reshape(())
    shape = [1] * like.dim()
    if axis is None or values.numel() != like.shape[int(axis)]:
        raise ValueError(f"{values.numel()} values do not fit {list(like.shape)}")
    shape[int(axis)] = -1
    return values.reshape(shape)
