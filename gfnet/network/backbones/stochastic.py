"""Dropout and stochastic depth whose masks belong to the images' places in the whole batch.

However a batch is divided, over ranks or into parts whose gradients are accumulated, every image meets the
mask that it would have met in the undivided batch: each part draws for the whole batch, from the same
seed, and takes its own rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Places:
    """Where the images at hand stand in the whole batch.

    Attributes:
        rows: int64 [b], their places.
        total: size of the whole batch.
    """

    rows: Tensor
    total: int


_PLACES: ContextVar[Places | None] = ContextVar("places", default=None)


@contextmanager
def at_places(rows: Tensor, total: int) -> Iterator[None]:
    """Inside, masks are drawn for ``total`` images, and the batch is ``rows`` (int64 [b]) of them."""
    token = _PLACES.set(Places(rows, total))
    try:
        yield
    finally:
        _PLACES.reset(token)


class BatchDropout(nn.Module):
    """Zero whole rows or single values of [B,...] with probability ``rate``, and scale up the rest.

    Args:
        rate: probability, [0, 1).
        whole_rows: drop an image's whole tensor (stochastic depth) instead of single values (dropout).
    """

    def __init__(self, rate: float, *, whole_rows: bool = False) -> None:
        super().__init__()
        self.rate, self.whole_rows = rate, whole_rows

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        shape = (1,) * (x.ndim - 1) if self.whole_rows else tuple(x.shape[1:])
        places = _PLACES.get()
        kept = torch.rand((places.total if places else len(x), *shape), device=x.device) >= self.rate
        if places:
            kept = kept[places.rows.to(x.device)]
        return x * kept.to(x.dtype) / (1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}, whole_rows={self.whole_rows}"
