"""Where patches lie and how the glance is shrunk, without torch.

The torch side of the same arithmetic is :mod:`gfnet.network.patches`; a test holds the two together.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from gfnet.config import Interpolation


def patch_origins(actions: np.ndarray, image_size: int, patch_size: int) -> np.ndarray:
    """Top-left pixels of the patches: ``floor(action * (S - P))`` in float32.

    Args:
        actions: float [B,2], (row, col) in [0, 1]; 1.0 is the last origin that fits, and NaN counts as 0.

    Returns:
        int64 [B,2], (row, col).
    """
    known = np.nan_to_num(np.asarray(actions, np.float32))
    origins: np.ndarray = np.floor(known * np.float32(image_size - patch_size)).astype(np.int64)
    return origins


def crop_patch(pixels: np.ndarray, origin: tuple[int, int] | np.ndarray, patch_size: int) -> np.ndarray:
    """The patch of ``pixels`` [S,S,...] at ``origin`` (row, col): a view, no copy."""
    row, col = origin
    return pixels[row : row + patch_size, col : col + patch_size]


def resize_glance(pixels: np.ndarray, patch_size: int, interpolation: Interpolation) -> np.ndarray:
    """Shrink pixels [S,S,3] to the glance, float32 [P,P,3], with ``align_corners=True``.

    Bicubic is Keys' kernel with a = -0.75, the border repeated, as in ``torch.nn.functional.interpolate``.
    """
    index, weights = resize_taps(pixels.shape[0], patch_size, interpolation)
    rows = _weighted_lines(pixels.reshape(len(pixels), -1), index, weights)  # [P,S*3]
    columns = _weighted_lines(rows.T.reshape(len(pixels), -1), index, weights)  # [P,3*P]
    glance: np.ndarray = columns.reshape(patch_size, 3, patch_size).transpose(2, 0, 1)
    return glance


def _weighted_lines(lines: np.ndarray, index: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of whole lines [S,N] by taps [P,K]: float32 [P,N]."""
    # No matrix product: BLAS would start threads beside those of the runtime.
    sums: np.ndarray = np.einsum("pk,pkn->pn", weights, lines[index])
    return sums


@cache
def resize_taps(source: int, target: int, interpolation: Interpolation) -> tuple[np.ndarray, np.ndarray]:
    """What one axis of a resize reads: source indices int64 [target,K] and their weights float32 [target,K]."""
    # float32 like torch's: the fractions differ by 1e-5 otherwise, a pixel's value by 2e-3.
    scale = np.float32((source - 1) / (target - 1)) if target > 1 else np.float32(0)
    position = np.arange(target, dtype=np.float32) * scale
    base = position.astype(np.int64)
    offset = (position - base.astype(np.float32)).astype(np.float64)
    taps = _taps(offset, interpolation)
    index = np.stack([(base + tap).clip(0, source - 1) for tap, _ in taps], axis=1)
    weights = np.stack([weight for _, weight in taps], axis=1).astype(np.float32)
    index.setflags(write=False)  # one array for every caller
    weights.setflags(write=False)
    return index, weights


def _taps(offset: np.ndarray, interpolation: Interpolation) -> list[tuple[int, np.ndarray]]:
    if interpolation == "bilinear":
        return [(0, 1 - offset), (1, offset)]
    return [(tap, _keys(np.abs(tap - offset))) for tap in (-1, 0, 1, 2)]


def _keys(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    weights: np.ndarray = np.where(distance <= 1, near, far)
    return weights
