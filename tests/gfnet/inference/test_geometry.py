from __future__ import annotations

import numpy as np
import pytest
import torch

from gfnet.inference.geometry import crop_patch, patch_origins, resize_glance, resize_taps
from gfnet.network import patches

# float32 rounding of sums of up to 16 products of pixels in 0 .. 255.
PIXEL_TOLERANCE = 2e-4


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("source", "target"), [(224, 96), (300, 144), (97, 32), (40, 40), (50, 1), (8, 20)])
def test_the_glance_equals_torch_s(source, target, interpolation):
    pixels = np.random.default_rng(source).integers(0, 256, (source, source, 3)).astype(np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    reference = patches.resize_glance(planes, target, interpolation)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(resize_glance(pixels, target, interpolation), reference, atol=PIXEL_TOLERANCE)


def test_a_resize_keeps_a_constant_image():
    _, weights = resize_taps(224, 96, "bicubic")
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_origins_equal_torch_s_for_every_action():
    edges = np.array([0, 1, np.nextafter(np.float32(1), 0), 0.5], np.float32)
    actions = np.concatenate(
        [np.random.default_rng(0).random((10_000, 2), np.float32), np.stack([edges, edges[::-1]], 1)]
    )
    for image_size, patch_size in ((224, 96), (260, 128), (300, 144), (96, 96)):
        reference = patches.patch_origins(torch.from_numpy(actions), image_size, patch_size).numpy()
        np.testing.assert_array_equal(patch_origins(actions, image_size, patch_size), reference)


def test_origins_of_nan_are_the_corner_here_as_in_torch():
    actions = np.array([[np.nan, 0.5]], np.float32)
    assert patch_origins(actions, 224, 96).tolist() == [[0, 64]]
    assert patches.patch_origins(torch.from_numpy(actions), 224, 96).tolist() == [[0, 64]]


def test_the_last_origin_still_fits():
    assert patch_origins(np.ones((1, 2)), 224, 96).tolist() == [[128, 128]]


def test_a_crop_is_a_view_of_the_right_place():
    pixels = np.arange(6 * 6 * 3).reshape(6, 6, 3)
    patch = crop_patch(pixels, (2, 3), 2)
    np.testing.assert_array_equal(patch, pixels[2:4, 3:5])
    assert np.shares_memory(patch, pixels)
