from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gfnet_export.mil.ops import OPS
from mil_support import check, compute, tensors

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
Y = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
WHOLE = RANDOM.integers(-9, 9, (2, 6, 5)).astype(np.int32)
PICTURE = np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4)

FOLDED = {
    "concat": ("concat", {"values": [X, Y], "axis": 1}),
    "concat of integers": ("concat", {"values": [WHOLE, WHOLE], "axis": -1}),
    "stack": ("stack", {"values": [X, Y], "axis": 1}),
    "stack behind": ("stack", {"values": [X, Y], "axis": -1}),
    "split, equal": ("split", {"x": X, "axis": 1, "num_splits": 3}),
    "split, sizes": ("split", {"x": X, "axis": -2, "split_sizes": [1, 2, 3]}),
    "expand_dims": ("expand_dims", {"x": X, "axes": [0, -1]}),
    "squeeze": ("squeeze", {"x": X[:, :1], "axes": [1]}),
    "squeeze all": ("squeeze", {"x": X[:1, :, :1]}),
    "reshape": ("reshape", {"x": X, "shape": [0, -1, 3]}),
    "flatten2d": ("flatten2d", {"x": X, "axis": 2}),
    "flatten2d from behind": ("flatten2d", {"x": X, "axis": -1}),
    "transpose": ("transpose", {"x": X, "perm": [2, 0, 1]}),
    "reverse": ("reverse", {"x": X, "axes": [0, -1]}),
    "reverse all": ("reverse", {"x": X}),
    "tile": ("tile", {"x": X, "reps": [1, 2, 3]}),
    **{
        f"pad, {mode}": ("pad", {"x": X, "pad": [1, 2, 3, 1], "mode": mode})
        for mode in ("constant", "reflect", "replicate")
    },
    **{
        f"pad all, {mode}": ("pad", {"x": X, "pad": [1, 1, 0, 2, 3, 1], "mode": mode})
        for mode in ("reflect", "replicate")
    },
    "pad with a value": ("pad", {"x": X, "pad": [1, 2], "mode": "constant", "constant_val": np.float32(3)}),
    "fill": ("fill", {"shape": [2, 3], "value": np.float32(2)}),
    "fill with integers": ("fill", {"shape": [2, 3], "value": np.int32(2)}),
    "fill_like": ("fill_like", {"ref_tensor": X, "value": np.float32(2)}),
    "range": ("range_1d", {"start": 1, "end": 9, "step": 3}),
    "range of numbers": ("range_1d", {"start": np.float32(1), "end": np.float32(2), "step": np.float32(0.3)}),
    "shape": ("shape", {"x": X}),
    "band_part": ("band_part", {"x": X, "lower": 1, "upper": 2}),
    "upper triangle": ("band_part", {"x": X, "lower": 0, "upper": -1}),
}


@pytest.mark.parametrize(("kind", "parameters"), FOLDED.values(), ids=FOLDED.keys())
def test_shapes_are_what_coremltools_folds(kind, parameters):
    check(kind, parameters)


def test_interleaving_takes_from_each_in_turn():
    values = [np.array([[1, 2], [3, 4]], np.float32), np.array([[7, 8], [9, 10]], np.float32)]
    found = OPS["concat"](**tensors({"values": values, "axis": 0, "interleave": True}))
    assert found.tolist() == [[1, 2], [7, 8], [3, 4], [9, 10]]  # MIL's reference; coremltools folds it wrongly


def test_a_shape_is_taken_from_others():
    ones = np.ones
    found = compute(
        "reshape_like",
        x=X,
        ref_tensors=[ones((3, 4)), ones((7, 5))],
        begins=[0, 1],
        ends=[2, 0],
        end_masks=[False, True],
    )
    assert found.shape == (3, 4, 5)


def test_sequences_are_reversed_as_far_as_they_reach():
    x = np.arange(8).reshape(2, 4).astype(np.float32)
    found = compute("reverse_sequence", x=x, lengths=[3, 2], seq_axis=1, batch_axis=0)
    assert found.tolist() == [[2, 1, 0, 3], [5, 4, 6, 7]]


def test_windows_slide():
    found = compute("sliding_windows", x=np.arange(6, dtype=np.float32)[None], axis=1, size=3, stride=2)
    assert found.tolist() == [[[0, 1, 2], [2, 3, 4]]]


def test_pixels_are_shuffled_as_in_torch():
    x = torch.from_numpy(PICTURE)
    np.testing.assert_array_equal(compute("pixel_shuffle", x=PICTURE, upscale_factor=2), F.pixel_shuffle(x, 2))
    np.testing.assert_array_equal(compute("pixel_unshuffle", x=PICTURE, downscale_factor=2), F.pixel_unshuffle(x, 2))


def test_depth_becomes_space_as_in_tensorflow_and_back():
    found = compute("depth_to_space", x=np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1), block_size=2)
    assert found.tolist() == [[[[0, 2], [4, 6]], [[1, 3], [5, 7]]]]
    back = compute("space_to_depth", x=compute("depth_to_space", x=PICTURE, block_size=2), block_size=2)
    assert (back == PICTURE).all()


def test_space_becomes_batch_and_back():
    x = np.array([[[[1.0, 2], [3, 4]]]], np.float32)
    found = compute("space_to_batch", x=x, block_shape=[2, 2], paddings=[[0, 0], [0, 0]])
    assert found.tolist() == [[[[1]]], [[[2]]], [[[3]]], [[[4]]]]
    padded = compute("space_to_batch", x=PICTURE, block_shape=[2, 3], paddings=[[0, 0], [1, 1]])
    back = compute("batch_to_space", x=padded, block_shape=[2, 3], crops=[[0, 0], [1, 1]])
    assert (back == PICTURE).all()


def test_a_picture_is_cropped():
    assert (compute("crop", x=PICTURE, crop_height=[1, 0], crop_width=[0, 2]) == PICTURE[:, :, 1:, :2]).all()


HUGE = {
    "pad": {"x": X, "pad": [10**9, 0]},
    "pad, replicated": {"x": X, "pad": [10**9, 0], "mode": "replicate"},
    "tile": {"x": X, "reps": [1, 10**9, 1]},
    "fill": {"shape": [10**5, 10**5]},
    "range_1d": {"start": 0, "end": 10**9, "step": 1},
    "concat": {"values": [np.zeros(1 << 20, np.float32)] * 200, "axis": 0},
    "stack": {"values": [np.zeros(1 << 20, np.float32)] * 200, "axis": 0},
    "sliding_windows": {"x": np.zeros(1 << 15, np.float32), "axis": 0, "size": 1 << 14},
    "space_to_batch": {"x": PICTURE, "block_shape": [1, 1], "paddings": [[10**9, 0], [0, 0]]},
}


@pytest.mark.parametrize(("name", "parameters"), HUGE.items(), ids=HUGE.keys())
def test_what_is_too_large_is_refused_before_it_is_made(name, parameters):
    with pytest.raises(ValueError, match="more elements than any network"):
        OPS[name.partition(",")[0]](**tensors(parameters))


WRONG = {
    "negative padding": ("pad", {"x": X, "pad": [-1, 0]}, "does not fit"),
    "reflected too far": ("pad", {"x": X, "pad": [5, 0], "mode": "reflect"}, "cannot be reflected over 5"),
    "an unknown mode": ("pad", {"x": X, "pad": [1, 0], "mode": "wrap"}, "mode 'wrap' is not known"),
    "repeated less than once": ("tile", {"x": X, "reps": [1, 0, 1]}, "cannot be repeated"),
    "cropped away": ("crop", {"x": PICTURE, "crop_height": [3, 2], "crop_width": [0, 0]}, "cannot be cut off"),
    "an axis that is not there": ("stack", {"values": [X], "axis": 4}, "do not fit 4 dimensions"),
    "an axis given twice": ("reverse", {"x": X, "axes": [0, -3]}, "do not fit 3 dimensions"),
}


@pytest.mark.parametrize(("kind", "parameters", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_makes_no_sense_is_refused(kind, parameters, message):
    with pytest.raises(ValueError, match=message):
        OPS[kind](**tensors(parameters))
