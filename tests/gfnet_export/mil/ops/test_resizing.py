"""Sampling at other places against torch, and against the grid points of Core ML's reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gfnet_export.mil.ops import OPS
from mil_support import compute, tensors

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 3, 5, 4)).astype(np.float32)
RAMP = np.arange(2, dtype=np.float32)[None, None].repeat(2, 1)  # one row of 0 and 1, twice


def interpolate(**options):
    return F.interpolate(torch.from_numpy(X), **options).numpy()


def test_nearest_pixels_are_those_of_torch():
    for height, width in ((2, 3), (1.5, 2.5), (1.4, 1.2), (0.5, 1)):
        found = compute(
            "upsample_nearest_neighbor", x=X, scale_factor_height=height, scale_factor_width=np.float32(width)
        )
        np.testing.assert_array_equal(found, interpolate(scale_factor=(height, width), mode="nearest"))


@pytest.mark.parametrize(("size", "count"), [(4, 7), (7, 10), (5, 9), (12, 7), (3, 14)])
def test_a_scale_that_was_rounded_still_finds_the_nearest_pixel(size, count):
    x = np.arange(size, dtype=np.float32)[None, None]
    found = compute("upsample_nearest_neighbor", x=x, scale_factor_width=np.float32(count / size))
    assert found[0, 0].tolist() == [place * size // count for place in range(count)]


@pytest.mark.parametrize("aligned", [True, False])
def test_lines_between_pixels_are_those_of_torch(aligned):
    found = compute(
        "upsample_bilinear", x=X, scale_factor_height=2, scale_factor_width=np.float32(2.5), align_corners=aligned
    )
    np.testing.assert_allclose(
        found, interpolate(size=(10, 10), mode="bilinear", align_corners=aligned), rtol=1e-5, atol=1e-6
    )


# The grid points that Core ML's reference gives for two pixels, 0 and 1.
POINTS = {
    ("UNALIGN_CORNERS", 5): [0, 0.1, 0.5, 0.9, 1],
    ("STRICT_ALIGN_CORNERS", 5): [0, 0.25, 0.5, 0.75, 1],
    ("ALIGN_CORNERS", 5): [0, 0.25, 0.5, 0.75, 1],
    ("DEFAULT", 5): [0, 0.4, 0.8, 1, 1],
    ("OFFSET_CORNERS", 5): [0.1, 0.3, 0.5, 0.7, 0.9],
    ("UNALIGN_CORNERS", 6): [0, 0, 1 / 3, 2 / 3, 1, 1],
    ("DEFAULT", 6): [0, 1 / 3, 2 / 3, 1, 1, 1],
    ("OFFSET_CORNERS", 6): [1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12],
    ("STRICT_ALIGN_CORNERS", 1): [0],
    ("ALIGN_CORNERS", 1): [0.5],
}


@pytest.mark.parametrize(("mode", "count"), POINTS)
def test_samples_lie_where_the_mode_says(mode, count):
    found = compute("resize_bilinear", x=RAMP, target_size_height=2, target_size_width=count, sampling_mode=mode)
    np.testing.assert_allclose(found[0, 0], POINTS[mode, count], atol=1e-6)
    newer = compute("resize", x=RAMP, shape=[2, count], resized_dims=2, sampling_mode=mode)
    np.testing.assert_allclose(newer, found)


def test_a_size_of_zero_is_kept():
    assert compute("resize", x=X, shape=[9, 0, 8], resized_dims=2).shape == (2, 3, 5, 8)


def test_the_nearest_pixel_of_a_target_size():
    found = compute("resize_nearest_neighbor", x=X, target_size_height=7, target_size_width=9)
    np.testing.assert_array_equal(found, interpolate(size=(7, 9), mode="nearest"))
    newer = compute("resize", x=X, shape=[7, 9], resized_dims=2, interpolation_mode="NEAREST_NEIGHBOR")
    np.testing.assert_array_equal(newer, found)


BOXES = {
    "CORNERS_HEIGHT_FIRST": [1, 0, 3, 2],
    "CORNERS_WIDTH_FIRST": [0, 1, 2, 3],
    "CENTER_SIZE_HEIGHT_FIRST": [2, 1, 2, 2],
    "CENTER_SIZE_WIDTH_FIRST": [1, 2, 2, 2],
}


@pytest.mark.parametrize("mode", BOXES)
def test_a_box_at_whole_pixels_is_cut_out(mode):
    boxes = np.array([BOXES[mode]], np.float32)
    options = {"target_height": 3, "target_width": 3, "box_coordinate_mode": mode, "sampling_mode": "ALIGN_CORNERS"}
    newer = compute("crop_resize", x=X, boxes=boxes, box_indices=[1], **options)
    np.testing.assert_allclose(newer, X[1:, :, 1:4, 0:3], atol=1e-6)
    every = compute("crop_resize", x=X, roi=boxes.reshape(1, 1, 4, 1, 1), **options)
    np.testing.assert_allclose(every, X[None, :, :, 1:4, 0:3], atol=1e-6)
    numbered = np.concatenate([[[1]], boxes], 1).reshape(1, 1, 5, 1, 1).astype(np.float32)
    np.testing.assert_allclose(compute("crop_resize", x=X, roi=numbered, **options), newer[:, None])


def test_a_box_may_be_scaled_and_may_reach_outside():
    options = {"x": X[:1], "target_height": 5, "target_width": 4, "sampling_mode": "STRICT_ALIGN_CORNERS"}
    whole = compute("crop_resize", boxes=np.array([[0, 0, 1, 1]], np.float32), normalized_coordinates=True, **options)
    np.testing.assert_allclose(whole, X[:1], atol=1e-6)
    scaled = compute("crop_resize", boxes=np.array([[0, 0, 8, 6]], np.float32), spatial_scale=0.5, **options)
    np.testing.assert_allclose(scaled, X[:1], atol=1e-6)
    beyond = compute("crop_resize", boxes=np.array([[1, 0, 5, 3]], np.float32), pad_value=np.float32(7), **options)
    np.testing.assert_allclose(beyond[:, :, :4], X[:1, :, 1:], atol=1e-6)
    assert (beyond[:, :, 4] == 7).all()


PADDINGS = {"constant": "zeros", "border": "border", "reflection": "reflection"}


@pytest.mark.parametrize("sampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("aligned", [True, False])
def test_samples_at_given_places_are_those_of_torch(padding, aligned, sampling):
    grid = RANDOM.uniform(-1.2, 1.2, (2, 4, 6, 2)).astype(np.float32)
    options = {"sampling_mode": sampling, "padding_mode": padding, "padding_value": 0.0, "align_corners": aligned}
    found = compute("resample", x=X, coordinates=grid, coordinates_mode="normalized_minus_one_to_one", **options)
    if padding == "reflection" and not aligned:  # torch reflects at the edge then, which is called symmetric here
        found = compute(
            "resample",
            x=X,
            coordinates=grid,
            coordinates_mode="normalized_minus_one_to_one",
            **{**options, "padding_mode": "symmetric"},
        )
    expected = F.grid_sample(
        torch.from_numpy(X),
        torch.from_numpy(grid),
        mode=sampling,
        padding_mode=PADDINGS[padding],
        align_corners=aligned,
    )
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_places_may_be_pixels_and_the_outside_a_value():
    places = np.array([[[[1, 2], [0.5, 0], [-9, 0]]]], np.float32)
    options = {"sampling_mode": "bilinear", "padding_mode": "constant", "padding_value": 7.0, "align_corners": True}
    found = compute("resample", x=X[:1], coordinates=places, coordinates_mode="unnormalized", **options)
    expected = np.stack([X[0, :, 2, 1], (X[0, :, 0, 0] + X[0, :, 0, 1]) / 2, np.full(3, 7)], -1)
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-5, atol=1e-6)
    unit = compute(
        "resample", x=X[:1], coordinates=places / [3, 4], coordinates_mode="normalized_zero_to_one", **options
    )
    np.testing.assert_allclose(unit, found, rtol=1e-4, atol=1e-5)


def test_an_affine_map_turns_a_picture():
    turned = compute(
        "affine",
        x=X[:1, :, :4],
        transform_matrix=np.array([[-1, 0, 0, 0, 1, 0]], np.float32),
        output_height=4,
        output_width=4,
        sampling_mode="bilinear",
        padding_mode="constant",
        padding_value=0.0,
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=True,
    )
    np.testing.assert_allclose(turned, X[:1, :, :4, ::-1], rtol=1e-5, atol=1e-5)


HUGE = {
    "upsample_nearest_neighbor": {"x": X, "scale_factor_width": 10**8},
    "upsample_bilinear": {"x": X, "scale_factor_height": np.float32(1e8)},
    "resize_nearest_neighbor": {"x": X, "target_size_height": 10**9, "target_size_width": 1},
    "resize_bilinear": {"x": X, "target_size_height": 10**9, "target_size_width": 1},
    "resize": {"x": X, "shape": [10**9, 10**9], "resized_dims": 2},
    "crop_resize": {"x": X, "boxes": np.zeros((1, 4), np.float32), "target_height": 10**9, "target_width": 1},
}


@pytest.mark.parametrize(("kind", "parameters"), HUGE.items(), ids=HUGE.keys())
def test_what_is_too_large_is_refused_before_it_is_made(kind, parameters):
    with pytest.raises(ValueError, match="more elements than any network"):
        OPS[kind](**tensors(parameters))
