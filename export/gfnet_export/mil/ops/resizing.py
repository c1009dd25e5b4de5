"""Operations that sample a picture at other places: resize, crop, warp."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gfnet_export.mil.ops.registry import bounded, flag, ints, number, op


def _from_zero(spacing: Callable[[float, int], float]) -> Callable[[float, int], Tensor]:
    return lambda size, count: torch.arange(count, dtype=torch.float64) * spacing(size, count)


def _align_corners(size: float, count: int) -> Tensor:
    if count == 1:
        return torch.tensor([(size - 1) / 2], dtype=torch.float64)
    return _SAMPLING["STRICT_ALIGN_CORNERS"](size, count)


def _offset_corners(size: float, count: int) -> Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) * max(1.0, size - 1) / count


def _unalign_corners(size: float, count: int) -> Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) * size / count - 0.5


# Where ``count`` samples of ``size`` pixels lie, by sampling mode; pixel 0 is at 0.
_SAMPLING: dict[str, Callable[[float, int], Tensor]] = {
    "STRICT_ALIGN_CORNERS": _from_zero(lambda size, count: (size - 1) / max(count - 1, 1)),
    "ALIGN_CORNERS": _align_corners,
    "DEFAULT": _from_zero(lambda size, count: size / count),
    "OFFSET_CORNERS": _offset_corners,
    "UNALIGN_CORNERS": _unalign_corners,
}


@op
def _upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: Tensor | None = None, scale_factor_width: Tensor | None = None
) -> Tensor:
    for dim, scale in ((-2, scale_factor_height), (-1, scale_factor_width)):
        factor, size = number(scale, 1.0), x.shape[dim]
        count = _scaled(x, dim, scale)
        # A scale that gives a whole number of pixels was made from that number, and rounded; else as torch does.
        whole = count == size or abs(factor * size - count) < 1e-3
        places = torch.arange(count) * size // count if whole else (torch.arange(count) / factor).long()
        x = x.index_select(dim, places.clamp(max=size - 1))
    return x


@op
def _upsample_bilinear(
    x: Tensor,
    scale_factor_height: Tensor | None = None,
    scale_factor_width: Tensor | None = None,
    align_corners: Tensor | None = None,
    half_pixel_centers: Tensor | None = None,
) -> Tensor:
    aligned = align_corners is None or flag(align_corners)
    centred = not aligned if half_pixel_centers is None else flag(half_pixel_centers)
    mode = "STRICT_ALIGN_CORNERS" if aligned else "UNALIGN_CORNERS" if centred else "DEFAULT"
    for dim, scale in ((-2, scale_factor_height), (-1, scale_factor_width)):
        x = _interpolated(x, dim, _SAMPLING[mode](x.shape[dim], _scaled(x, dim, scale)))
    return x


@op
def _resize_nearest_neighbor(x: Tensor, target_size_height: Tensor, target_size_width: Tensor) -> Tensor:
    return _resized(x, (int(target_size_height), int(target_size_width)), "DEFAULT", nearest=True)


@op
def _resize_bilinear(
    x: Tensor,
    target_size_height: Tensor | None = None,
    target_size_width: Tensor | None = None,
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    return _resized(x, (int(number(target_size_height, 1)), int(number(target_size_width, 1))), sampling_mode)


@op
def _resize(
    x: Tensor, shape: Tensor, resized_dims: Tensor, interpolation_mode: str = "LINEAR", sampling_mode: str = "DEFAULT"
) -> Tensor:
    count = int(resized_dims)
    wanted = ints(shape)[-count:]
    sizes = [size or old for size, old in zip(wanted, x.shape[-count:], strict=True)]
    return _resized(x, sizes, sampling_mode, nearest=interpolation_mode == "NEAREST_NEIGHBOR")


@op
def _crop_resize(
    x: Tensor,
    roi: Tensor | None = None,
    boxes: Tensor | None = None,
    box_indices: Tensor | None = None,
    target_height: Tensor | None = None,
    target_width: Tensor | None = None,
    normalized_coordinates: Tensor | None = None,
    spatial_scale: Tensor | None = None,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: Tensor | None = None,
) -> Tensor:
    """Before iOS 17 boxes come as ``roi``: [N, 1, 4 or 5, 1, 1], of all images, or with an image's number in front."""
    height, width = int(number(target_height, 1)), int(number(target_width, 1))
    if roi is not None:
        rows = roi.reshape(roi.shape[0], -1)
        boxes, numbered = rows[:, -4:], rows.shape[1] == 5
        images = rows[:, :1].long() if numbered else torch.arange(x.shape[0]).expand(len(rows), -1)
    elif boxes is not None:
        images = (torch.arange(len(boxes)) if box_indices is None else box_indices.long())[:, None]
    else:
        raise ValueError("it has neither boxes nor regions")
    bounded([*images.shape, x.shape[1], max(height, x.shape[2]), max(width, x.shape[3])])
    corners = _corners(boxes.float(), box_coordinate_mode) * number(spatial_scale, 1.0)
    if flag(normalized_coordinates):
        corners = corners * torch.tensor([x.shape[2] - 1, x.shape[3] - 1] * 2)
    padding = number(pad_value, 0.0)
    crops = []
    for (top, left, bottom, right), chosen in zip(corners.tolist(), images, strict=True):
        rows_at = top + _SAMPLING[sampling_mode](bottom - top + 1, height)
        columns_at = left + _SAMPLING[sampling_mode](right - left + 1, width)
        crop = _interpolated(x[chosen], -2, rows_at, padding)
        crops.append(_interpolated(crop, -1, columns_at, padding))
    found = torch.stack(crops)
    return found if roi is not None else found.squeeze(1)


@op
def _affine(
    x: Tensor,
    transform_matrix: Tensor,
    output_height: Tensor,
    output_width: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor,
    coordinates_mode: str,
    align_corners: Tensor,
) -> Tensor:
    height, width = int(output_height), int(output_width)
    bounded([*x.shape[:2], max(height, 1), max(width, 1)])
    bounded([x.shape[0], height, width, 3])
    matrices = transform_matrix.reshape(-1, 2, 3).expand(x.shape[0], -1, -1)
    grid = F.affine_grid(matrices, [x.shape[0], 1, height, width], align_corners=flag(align_corners))
    return _resample(x, grid, sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners)


@op
def _resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor,
    coordinates_mode: str,
    align_corners: Tensor,
) -> Tensor:
    bounded([*x.shape[:2], *coordinates.shape[1:3]])
    sizes = torch.tensor([x.shape[3], x.shape[2]])
    places = coordinates.float()
    if coordinates_mode != "unnormalized":
        if coordinates_mode == "normalized_minus_one_to_one":
            places = (places + 1) / 2
        places = places * (sizes - 1) if flag(align_corners) else places * sizes - 0.5
    # torch mirrors at the last pixel's centre if corners are aligned, and else at its edge.
    aligned = padding_mode != "symmetric"
    grid = 2 * places / (sizes - 1).clamp(min=1) - 1 if aligned else (2 * places + 1) / sizes - 1
    padding = {"constant": "zeros", "border": "border", "reflection": "reflection", "symmetric": "reflection"}
    around = number(padding_value, 0.0) if padding_mode == "constant" else 0.0
    sampled = F.grid_sample(
        x - around, grid, mode=sampling_mode, padding_mode=padding[padding_mode], align_corners=aligned
    )
    return sampled + around


def _scaled(x: Tensor, dim: int, scale: Tensor | None) -> int:
    """How many pixels a scaled dimension has; coremltools multiplies in float32 when it declares that."""
    factor = np.float32(number(scale, 1.0))
    count = int(np.floor(factor * np.float32(x.shape[dim])))
    if count < 1:
        raise ValueError(f"{x.shape[dim]} pixels cannot be scaled by {factor}")
    bounded([x.numel() // x.shape[dim], count])
    return count


def _resized(x: Tensor, sizes: tuple[int, int] | list[int], mode: str, *, nearest: bool = False) -> Tensor:
    """``x`` with its last dimensions of other sizes."""
    if min(sizes) < 1:
        raise ValueError(f"it cannot be resized to {list(sizes)}")
    for dim, count in zip(range(-len(sizes), 0), sizes, strict=True):
        bounded([x.numel() // x.shape[dim], count])
        places = _SAMPLING[mode](x.shape[dim], count)
        if nearest:
            # A whole number that division missed by a hair is still that number.
            whole = torch.floor(places + (1e-9 if mode == "DEFAULT" else 0.5)).long()
            x = x.index_select(dim, whole.clamp(0, x.shape[dim] - 1))
        else:
            x = _interpolated(x, dim, places)
    return x


def _interpolated(x: Tensor, dim: int, places: Tensor, padding: float | None = None) -> Tensor:
    """Sample along one dimension, linearly between pixels.

    Args:
        places: pixel 0 is at 0.
        padding: what lies outside; the nearest pixel if ``None``.
    """
    last = x.shape[dim] - 1
    inside = places.clamp(0, last)
    before = inside.floor().long()
    after = (before + 1).clamp(max=last)
    shape = [1] * x.dim()
    shape[dim] = -1
    share = (inside - before).reshape(shape).to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    found = x.index_select(dim, before) * (1 - share) + x.index_select(dim, after) * share
    if padding is not None:
        outside = ((places < 0) | (places > last)).reshape(shape)
        found = torch.where(outside, torch.tensor(padding, dtype=found.dtype), found)
    return found.to(x.dtype)


def _corners(boxes: Tensor, mode: str) -> Tensor:
    """Boxes as top, left, bottom, right."""
    if mode.endswith("WIDTH_FIRST"):
        boxes = boxes[:, [1, 0, 3, 2]]
    if mode.startswith("CORNERS"):
        return boxes
    centre, size = boxes[:, :2], boxes[:, 2:]
    return torch.cat([centre - size / 2, centre + size / 2], 1)
