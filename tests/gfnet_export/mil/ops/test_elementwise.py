"""Operations on elements against coremltools' own constant folding."""

from __future__ import annotations

import numpy as np
import pytest

from gfnet_export.mil.ops import OPS, as_tensor
from mil_support import check, compute

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
Y = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
POSITIVE = np.abs(X) + 0.1
WHOLE = RANDOM.integers(-9, 9, (2, 6, 5)).astype(np.int32)
DIVISORS = RANDOM.integers(1, 5, (2, 6, 5)).astype(np.int32)

UNARY = (
    *("abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "identity", "relu", "relu6", "round"),
    *("sigmoid", "sign", "sin", "sinh", "softplus", "softsign", "square", "tan", "tanh"),
)
BINARY = (
    *("add", "sub", "mul", "maximum", "minimum", "mod", "floor_div", "real_div"),
    *("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"),
)
FOLDED = {
    **{name: (name, {"x": X}) for name in UNARY},
    **{name: (name, {"x": X.clip(-0.9, 0.9)}) for name in ("acos", "asin", "atanh")},
    **{name: (name, {"x": POSITIVE}) for name in ("inverse", "log", "rsqrt", "sqrt")},
    **{f"{name}, epsilon": (name, {"x": POSITIVE, "epsilon": np.float32(0.3)}) for name in ("inverse", "log", "rsqrt")},
    **{f"{name} of integers": (name, {"x": WHOLE}) for name in ("abs", "exp2", "identity", "sign", "square")},
    **{name: (name, {"x": X, "y": Y}) for name in BINARY},
    **{f"{name} of integers": (name, {"x": WHOLE, "y": DIVISORS}) for name in BINARY},
    **{f"{name}, broadcast": (name, {"x": WHOLE, "y": DIVISORS[:1, :1]}) for name in ("add", "real_div", "less")},
    "pow": ("pow", {"x": POSITIVE, "y": Y}),
    "pow of integers": ("pow", {"x": WHOLE, "y": DIVISORS}),
    **{name: (name, {"x": X > 0, "y": Y > 0}) for name in ("logical_and", "logical_or", "logical_xor")},
    "logical_not": ("logical_not", {"x": X > 0}),
    "select": ("select", {"cond": X > 0, "a": X, "b": Y}),
    **{f"cast to {kind}": ("cast", {"x": 3 * POSITIVE, "dtype": kind}) for kind in ("int32", "int8", "bool", "fp32")},
    "cast of integers": ("cast", {"x": WHOLE, "dtype": "bool"}),
    "cast of truth": ("cast", {"x": X > 0, "dtype": "int32"}),
    "clamped_relu": ("clamped_relu", {"x": X, "alpha": 0.2, "beta": 0.7}),
    "clip": ("clip", {"x": X, "alpha": -0.5, "beta": 0.7}),
    "elu": ("elu", {"x": X, "alpha": 0.2}),
    **{
        f"gelu {mode}": ("gelu", {"x": X, "mode": mode})
        for mode in ("EXACT", "SIGMOID_APPROXIMATION", "TANH_APPROXIMATION")
    },
    "leaky_relu": ("leaky_relu", {"x": X, "alpha": 0.2}),
    "linear_activation": ("linear_activation", {"x": X, "alpha": 0.2, "beta": 0.7}),
    "prelu": ("prelu", {"x": X, "alpha": np.full(6, 0.3, np.float32)}),
    "prelu of channels": ("prelu", {"x": X[..., None], "alpha": Y[0, :, 0]}),
    "scaled_tanh": ("scaled_tanh", {"x": X, "alpha": 0.2, "beta": 0.7}),
    "sigmoid_hard": ("sigmoid_hard", {"x": 3 * X, "alpha": 0.3, "beta": 0.4}),
    "softplus_parametric": ("softplus_parametric", {"x": X, "alpha": Y[0, :, 0], "beta": Y[0, :, 1]}),
    "threshold": ("threshold", {"x": X, "alpha": 0.2}),
    "thresholded_relu": ("thresholded_relu", {"x": X, "alpha": 0.3}),
}


@pytest.mark.parametrize(("kind", "parameters"), FOLDED.values(), ids=FOLDED.keys())
def test_elements_are_what_coremltools_folds(kind, parameters):
    check(kind, parameters)


def test_silu_by_hand():
    np.testing.assert_allclose(OPS["silu"](x=as_tensor(X)), X / (1 + np.exp(-X)), rtol=1e-5)


def test_integers_divide_to_integers_and_lose_what_comes_after_the_point():
    found = compute("real_div", x=np.array([7, -7, 6], np.int32), y=np.array([2, 2, 3], np.int32))
    assert (found.dtype, found.tolist()) == (np.int32, [3, -3, 2])


def test_an_integer_divided_by_zero_is_refused():
    with pytest.raises(RuntimeError, match="ZeroDivision"):
        compute("real_div", x=np.array([7], np.int32), y=np.array([0], np.int32))


def test_two_large_vectors_make_no_huge_matrix():
    x = as_tensor(np.zeros((1 << 15, 1), np.float32))
    for name in ("add", "less", "pow", "real_div"):
        with pytest.raises(ValueError, match="more elements than any network"):
            OPS[name](x=x, y=x.mT)


@pytest.mark.parametrize(
    ("name", "more"), [("leaky_relu", ()), ("clip", ("beta",)), ("prelu", ()), ("elu", ()), ("scaled_tanh", ("beta",))]
)
def test_a_parameter_of_many_numbers_makes_no_huge_tensor(name, more):
    x = as_tensor(np.zeros((1 << 15, 1), np.float32))
    with pytest.raises((RuntimeError, ValueError), match=r"is invalid for input of size|do not fit"):
        OPS[name](x=x, alpha=x.flatten(), **dict.fromkeys(more, x.flatten()))
