from __future__ import annotations

import numpy as np
import pytest

from gfnet_export.mil.ops import OPS
from mil_support import check, compute, tensors

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
Y = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
PLACES = np.array([[1, 2, 0], [3, 4, 1]], np.int32)
PERMUTED = np.stack([RANDOM.permutation(6)[:3] for _ in range(10)]).reshape(2, 5, 3).transpose(0, 2, 1).astype(np.int32)


def sliced(begin, end, **more):
    return "slice_by_index", {"x": X, "begin": begin, "end": end, **more}


FOLDED = {
    "plain": sliced([0, 1, 2], [2, 4, 5]),
    "from behind": sliced([0, 1, -3], [2, -1, 5], stride=[1, 2, 1]),
    "backwards": sliced([0, 5, 4], [2, 0, 0], stride=[1, -2, -1], begin_mask=[True, False, False]),
    "backwards to the end": sliced(
        [0, 5, 4], [2, 0, 0], stride=[1, -1, -1], begin_mask=[True, True, False], end_mask=[False, True, True]
    ),
    "one place": sliced([0, 3, 1], [2, 4, 2], squeeze_mask=[False, True, False]),
    "one place, all masks": sliced(
        [1, -2, 0],
        [2, 5, 5],
        stride=[1, 1, 3],
        begin_mask=[False, False, True],
        end_mask=[True, True, True],
        squeeze_mask=[True, False, False],
    ),
    "further than there is": sliced([0, 0, 0], [9, 99, 9], begin_mask=[True, False, False]),
    "slice_by_size": ("slice_by_size", {"x": X, "begin": [0, 1, -2], "size": [-1, 3, 2]}),
    "slice_update": ("slice_update", {"x": X, "update": Y[:, :3, :2], "begin": [0, 1, -2], "end": [2, 4, 5]}),
    "slice_update of one place": (
        "slice_update",
        {"x": X, "update": Y[:, 0, :2], "begin": [0, 1, -2], "end": [2, 4, 5], "squeeze_mask": [False, True, False]},
    ),
    "gather": ("gather", {"x": X, "indices": np.array([[1, -2, 0], [3, 4, 5]], np.int32), "axis": 1}),
    "gather behind": ("gather", {"x": X, "indices": np.array([4, 1], np.int32), "axis": -1}),
    "gather one": ("gather", {"x": X, "indices": np.int32(1), "axis": 1}),
    "gather in each row": ("gather", {"x": X, "indices": PLACES, "axis": 1, "batch_dims": 1}),
    "gather in each row, behind": ("gather", {"x": X, "indices": PLACES, "axis": 2, "batch_dims": 1}),
    "gather_along_axis": (
        "gather_along_axis",
        {"x": X, "indices": RANDOM.integers(-6, 6, (2, 3, 5)).astype(np.int32), "axis": 1},
    ),
    "scatter_along_axis": (
        "scatter_along_axis",
        {"data": X, "indices": PERMUTED, "updates": Y[:, :3], "axis": 1, "mode": "update"},
    ),
    "non_zero": ("non_zero", {"x": np.array([[1, 0], [0, 2]], np.int32)}),
}


@pytest.mark.parametrize(("kind", "parameters"), FOLDED.values(), ids=FOLDED.keys())
def test_places_are_those_that_coremltools_folds(kind, parameters):
    check(kind, parameters)


def test_gathering_at_points():
    assert compute("gather_nd", x=X, indices=np.array([[1, 2, 3], [0, -1, 4]], np.int32)).tolist() == [
        X[1, 2, 3],
        X[0, -1, 4],
    ]
    rows = compute("gather_nd", x=X, indices=np.array([[[1]], [[5]]], np.int32), batch_dims=1)
    np.testing.assert_array_equal(rows, np.stack([X[0, [1]], X[1, [5]]]))


MODES = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new,
    "div": lambda old, new: old / new,
    "max": np.maximum,
    "min": np.minimum,
}


@pytest.mark.parametrize("mode", MODES)
def test_scatters_write_where_gathers_read(mode):
    expected = X.copy()
    expected[:, [4, 1]] = MODES[mode](X[:, [4, 1]], Y[:, :2])
    found = compute("scatter", data=X, indices=[4, -5], updates=Y[:, :2], axis=1, mode=mode)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    expected = X.copy()
    expected[[1, 0], [2, 3]] = MODES[mode](X[[1, 0], [2, 3]], Y[0, :2])
    found = compute("scatter_nd", data=X, indices=[[1, 2], [0, 3]], updates=Y[0, :2], mode=mode)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_is_scattered_twice_adds_up():
    found = compute("scatter", data=np.zeros(3, np.int32), indices=[1, 1, 2], updates=np.array([5, 6, 7], np.int32))
    assert (found.dtype, found.tolist()) == (np.int32, [0, 11, 7])


def test_one_is_hot():
    assert compute("one_hot", indices=np.array([2, 0]), one_hot_vector_size=3).tolist() == [[0, 0, 1], [1, 0, 0]]
    found = compute(
        "one_hot",
        indices=np.array([2, 0]),
        one_hot_vector_size=3,
        axis=0,
        on_value=np.float32(5),
        off_value=np.float32(-1),
    )
    assert found.tolist() == [[-1, 5], [-1, -1], [5, -1]]


HUGE = {
    "gather": {"x": np.zeros((1, 1 << 15), np.float32), "indices": np.zeros(1 << 15, np.int32), "axis": 0},
    "gather_nd": {"x": np.zeros((1, 1 << 15), np.float32), "indices": np.zeros((1 << 15, 1), np.int32)},
    "one_hot": {"indices": np.zeros(9, np.int32), "one_hot_vector_size": 10**9},
}


@pytest.mark.parametrize(("kind", "parameters"), HUGE.items(), ids=HUGE.keys())
def test_what_is_too_large_is_refused_before_it_is_made(kind, parameters):
    with pytest.raises(ValueError, match="more elements than any network"):
        OPS[kind](**tensors(parameters))


@pytest.mark.parametrize("index", [6, -7])
def test_a_place_that_is_not_there_is_refused(index):
    for kind in ("gather", "gather_nd"):
        with pytest.raises(IndexError):
            OPS[kind](**tensors({"x": X[0], "indices": np.array([[index]], np.int32)}))
    with pytest.raises(RuntimeError):
        OPS["gather_along_axis"](**tensors({"x": X[0], "indices": np.full((1, 5), index, np.int32)}))
