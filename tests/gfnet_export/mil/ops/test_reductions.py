from __future__ import annotations

import itertools

import numpy as np
import pytest

from gfnet_export.mil.ops import OPS
from mil_support import check, compute, tensors

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
POSITIVE = np.abs(X) + 0.1
WHOLE = RANDOM.integers(1, 5, (2, 6, 5)).astype(np.int32)

REDUCTIONS = (
    *("reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum", "reduce_log_sum_exp", "reduce_max", "reduce_mean"),
    *("reduce_min", "reduce_prod", "reduce_sum", "reduce_sum_square"),
)
VARIANTS = {
    f"{name} of {kind} over {axes}{', kept' if keep else ''}": (
        name,
        {"x": x, "keep_dims": keep} | ({"axes": axes} if axes else {}),
    )
    for name, (kind, x), axes, keep in itertools.product(
        REDUCTIONS, (("numbers", POSITIVE), ("integers", WHOLE)), ([1], [0, -1], None), (True, False)
    )
}
OTHERS = {
    "largest": ("reduce_argmax", {"x": X, "axis": 1}),
    "largest, kept": ("reduce_argmax", {"x": X, "axis": -1, "keep_dims": True}),
    "least": ("reduce_argmin", {"x": X, "axis": 1}),
    "softmax": ("softmax", {"x": X, "axis": 1}),
    "cumsum": ("cumsum", {"x": X, "axis": 1}),
    "cumsum from behind": ("cumsum", {"x": WHOLE, "axis": -1, "reverse": True}),
    **{f"argsort {up}": ("argsort", {"x": X, "axis": 1, "ascending": up}) for up in (True, False)},
    **{f"topk {up}": ("topk", {"x": X, "axis": 1, "k": 3, "ascending": up}) for up in (True, False)},
}


@pytest.mark.parametrize(("kind", "parameters"), (VARIANTS | OTHERS).values(), ids=(VARIANTS | OTHERS).keys())
def test_reductions_are_what_coremltools_folds(kind, parameters):
    check(kind, parameters)


def test_over_no_axes_nothing_is_summed():
    assert OPS["reduce_sum"](**tensors({"x": X, "axes": np.zeros(0, np.int32)})).tolist() == X.tolist()


def test_sums_that_leave_the_element_out():
    x = np.array([1, 2, 3, 4], np.int32)
    assert compute("cumsum", x=x, exclusive=True).tolist() == [0, 1, 3, 6]
    assert compute("cumsum", x=x, exclusive=True, reverse=True).tolist() == [9, 7, 4, 0]


def test_the_largest_alone():
    assert compute("topk", x=np.array([3.0, 9, 4], np.float32), k=2, return_indices=False).tolist() == [9, 4]
    assert compute("topk", x=np.array([3, 9, 4], np.int32), k=-1, return_indices=False).tolist() == [9, 4, 3]
