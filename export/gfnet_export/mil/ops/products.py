"""Matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gfnet_export.mil.ops.registry import bounded, broadcast, flag, op


@op
def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    bounded([*x.shape[:-1], weight.shape[0]])
    return F.linear(x, weight, bias)


@op
def _matmul(x: Tensor, y: Tensor, transpose_x: Tensor | None = None, transpose_y: Tensor | None = None) -> Tensor:
    return _multiplied(x.mT if flag(transpose_x) else x, y.mT if flag(transpose_y) else y)


@op
def _einsum(values: Sequence[Tensor], equation: str) -> Tensor:
    terms, _, result = equation.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, value in zip(terms.split(","), values, strict=True):
        for letter, size in zip(term, value.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    bounded([sizes[letter] for letter in result])
    return torch.einsum(equation, *values)


@op
def _scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    scores = _multiplied(query, key.mT) / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros(attn_mask.shape).masked_fill(~attn_mask, -math.inf)
        broadcast(scores, attn_mask)
        scores = scores + attn_mask
    return _multiplied(torch.softmax(scores, -1), value)


def _multiplied(x: Tensor, y: Tensor) -> Tensor:
    """``x @ y``, whose leading dimensions are broadcast, unless the result is too large."""
    if x.dim() > 1 and y.dim() > 1:
        leading = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])  # type: ignore[no-untyped-call]
        for matrix in (x.shape[-2:], y.shape[-2:], (x.shape[-2], y.shape[-1])):  # operands are repeated, too
            bounded([*leading, *matrix])
    return x @ y
