"""From image to network input: the glance's resize and the patches' crop, on torch tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gfnet.config import Interpolation


def resize_glance(images: Tensor, patch_size: int, interpolation: Interpolation) -> Tensor:
    """Shrink whole images [B,3,S,S] to the glance [B,3,P,P], as the official code does.

    ``align_corners=True``: the corner pixels of both grids coincide; no antialiasing.  Images of that size stay as they
    are.
    """
    if images.shape[-2:] == (patch_size, patch_size):
        return images
    return F.interpolate(images, size=(patch_size, patch_size), mode=interpolation, align_corners=True)


def patch_origins(actions: Tensor, image_size: int, patch_size: int) -> Tensor:
    """Top-left pixels of the patches: ``floor(action * (S - P))``.

    Args:
        actions: float [B,2], (row, col) in [0, 1]; 1.0 is the last origin that fits.  NaN counts as 0: a network
            that has diverged should show it in its loss, not by an index out of range.

    Returns:
        int64 [B,2], (row, col).
    """
    return torch.floor(actions.nan_to_num() * (image_size - patch_size)).long()


def crop_patches(images: Tensor, origins: Tensor, patch_size: int) -> Tensor:
    """Cut one square patch out of every image, without a loop over images and without interpolation.

    Seen as a flat array, a patch is a few runs of consecutive values: P runs of P*C in channels-last
    images, C*P runs of P otherwise.  One indexed copy of overlapping runs gets them all at memory speed.

    Args:
        images: [B,C,H,W], any dtype, contiguous or channels-last.
        origins: int64 [B,2], (row, col) of the top-left pixels, inside the images.
        patch_size: P, pixels.

    Returns:
        [B,C,P,P] in the images' dtype and memory format.
    """
    batch, channels, height, width = images.shape
    top, left = origins.to(images.device).unbind(1)  # [B], [B]
    rows = top[:, None] + torch.arange(patch_size, device=images.device)  # [B,P]
    first_row = torch.arange(batch, device=images.device) * height  # [B]
    if images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous():
        starts = ((first_row[:, None] + rows) * width + left[:, None]) * channels  # [B,P]
        runs = _copy_runs(images.permute(0, 2, 3, 1).reshape(-1), starts, patch_size * channels)
        return runs.view(batch, patch_size, patch_size, channels).permute(0, 3, 1, 2)
    plane = first_row[:, None] * channels + torch.arange(channels, device=images.device) * height  # [B,C]
    starts = (plane[:, :, None] + rows[:, None, :]) * width + left[:, None, None]  # [B,C,P]
    runs = _copy_runs(images.reshape(-1), starts, patch_size)
    return runs.view(batch, channels, patch_size, patch_size)


def _copy_runs(values: Tensor, starts: Tensor, length: int) -> Tensor:
    """Copy ``values[s : s + length]`` for every ``s`` of ``starts`` into the rows of one matrix."""
    every_run = values.as_strided((values.numel() - length + 1, length), (1, 1))
    return every_run.index_select(0, starts.flatten())
