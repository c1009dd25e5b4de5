from __future__ import annotations

import numpy as np
import pytest
import torch

from gfnet.inference import geometry
from gfnet.network.patches import crop_patches, patch_origins
from golden_support import recipe_images

# The resize interpolates in float32; the official sums were reproduced to 1e-8.
GLANCE_ATOL = 1e-5
SUM_RTOL = 1e-4


def test_glance_is_the_official_resize(released):
    glance = released.views[0]
    np.testing.assert_allclose(glance.flatten(1)[:, :8], released.expected["prime_first8"], atol=GLANCE_ATOL, rtol=0)
    np.testing.assert_allclose(glance.double().sum((1, 2, 3)), released.expected["prime_sum"], rtol=SUM_RTOL)


def test_origins_are_the_official_ones(released):
    config = released.config
    for action, expected in zip(released.actions, released.expected["coord"], strict=True):
        sizes = config.image_size, config.patch_size
        assert patch_origins(action, *sizes).tolist() == expected.tolist()
        assert geometry.patch_origins(action.numpy(), *sizes).tolist() == expected.tolist()


def test_patches_are_cut_where_the_official_code_cuts(released):
    size = released.config.patch_size
    images = recipe_images(released.config.image_size)
    for patch, origins, total in zip(
        released.views[1:], released.expected["coord"], released.expected["patch_sum"], strict=True
    ):
        np.testing.assert_allclose(patch.double().sum((1, 2, 3)), total, rtol=SUM_RTOL)
        for i, (row, col) in enumerate(origins):
            assert torch.equal(patch[i], images[i, :, row : row + size, col : col + size])


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_crops_are_slices_in_every_layout(memory_format, dtype):
    images = torch.arange(3 * 3 * 20 * 20).reshape(3, 3, 20, 20).to(dtype).contiguous(memory_format=memory_format)
    origins = torch.tensor([[0, 0], [15, 15], [3, 11]])  # both extreme corners
    patches = crop_patches(images, origins, 5)
    assert patches.dtype == dtype
    assert patches.is_contiguous(memory_format=memory_format)
    for i, (row, col) in enumerate(origins.tolist()):
        assert torch.equal(patches[i], images[i, :, row : row + 5, col : col + 5])


def test_the_largest_action_points_at_the_last_origin():
    assert patch_origins(torch.tensor([[1.0, 0.0]]), 224, 96).tolist() == [[128, 0]]
