from __future__ import annotations

import numpy as np
import pytest

from gfnet_export.mil.ops import OPS
from mil_support import check, tensors

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


X, Y = normal(2, 6, 5), normal(2, 6, 5)
ATTENTION = {"query": normal(2, 3, 4, 5), "key": normal(2, 3, 6, 5), "value": normal(2, 3, 6, 7)}

FOLDED = {
    "linear": ("linear", {"x": X, "weight": Y[0], "bias": Y[0, :, 0]}),
    "matmul": ("matmul", {"x": X, "y": Y, "transpose_y": True}),
    "matmul, transposed": ("matmul", {"x": X, "y": Y, "transpose_x": True}),
    "matmul, broadcast": ("matmul", {"x": X[:, None], "y": normal(3, 5, 4)}),
    "matmul of integers": ("matmul", {"x": np.eye(3, dtype=np.int32), "y": np.arange(9, dtype=np.int32).reshape(3, 3)}),
    "einsum of four": ("einsum", {"values": [normal(2, 3, 4, 5), normal(2, 5, 4, 6)], "equation": "nchw,nwhu->nchu"}),
    "einsum of three": ("einsum", {"values": [normal(3, 4, 5), normal(5, 4, 6)], "equation": "chw,whr->chr"}),
    "attention": ("scaled_dot_product_attention", ATTENTION),
    "attention, added": ("scaled_dot_product_attention", {**ATTENTION, "attn_mask": normal(4, 6)}),
    "attention, masked": ("scaled_dot_product_attention", {**ATTENTION, "attn_mask": normal(4, 6) > -1}),
}


@pytest.mark.parametrize(("kind", "parameters"), FOLDED.values(), ids=FOLDED.keys())
def test_products_are_what_coremltools_folds(kind, parameters):
    check(kind, parameters, tolerance=1e-5)


COLUMN = np.zeros((1 << 15, 1), np.float32)
HUGE = {
    "linear": {"x": COLUMN, "weight": COLUMN},
    "matmul": {"x": COLUMN, "y": COLUMN, "transpose_y": True},
    "einsum": {"values": [COLUMN[:, :, None], COLUMN[None]], "equation": "chw,whr->chr"},
    "scaled_dot_product_attention": {"query": COLUMN, "key": COLUMN, "value": COLUMN},
}


@pytest.mark.parametrize(("kind", "parameters"), HUGE.items(), ids=HUGE.keys())
def test_products_that_are_too_large_are_refused(kind, parameters):
    if kind == "einsum":
        parameters = {"values": [COLUMN[:, None], COLUMN.T[:, None]], "equation": "chw,whr->chr"}
    with pytest.raises(ValueError, match="more elements than any network"):
        OPS[kind](**tensors(parameters))
