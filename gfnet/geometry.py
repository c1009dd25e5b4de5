"""Where patches lie and how the glance is shrunk, without torch.

The torch side of the same arithmetic is :mod:`gfnet.patches`; a test holds the two together.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from gfnet.config import Interpolation


def patch_origins(actions: np.ndarray, image_size: int, patch_size: int) -> np.ndarray:
    """Top-left pixels of the patches: ``floor(action * (S - P))`` in float32.

    Args:
        actions: float [B,2], (row, col) in [0, 1].

    Returns:
        int64 [B,2], (row, col).
    """
    return np.floor(np.asarray(actions, np.float32) * np.float32(image_size - patch_size)).astype(np.int64)


def crop_patch(pixels: np.ndarray, origin: tuple[int, int] | np.ndarray, patch_size: int) -> np.ndarray:
    """The patch of ``pixels`` [S,S,...] at ``origin`` (row, col): a view, no copy."""
    row, col = origin
    return pixels[row : row + patch_size, col : col + patch_size]


def resize_glance(pixels: np.ndarray, patch_size: int, interpolation: Interpolation) -> np.ndarray:
    """Shrink pixels [S,S,3] to the glance, float32 [P,P,3], with ``align_corners=True``.

    A separable resize is a product with one constant matrix from either side.
    """
    weights = resize_matrix(pixels.shape[0], patch_size, interpolation)  # [P,S]
    rows = np.tensordot(weights, pixels.astype(np.float32), axes=(1, 0))  # [P,S,3]
    return np.tensordot(weights, rows, axes=(1, 1)).transpose(1, 0, 2)  # [P,P,3]


@cache
def resize_matrix(source: int, target: int, interpolation: Interpolation) -> np.ndarray:
    """The matrix float32 [target, source] that resizes one axis; corners aligned, no antialias.

    Bicubic is Keys' kernel with a = -0.75, the border repeated, as in ``torch.nn.functional.interpolate``.
    """
    # float32 like torch's: the fractions differ by 1e-5 otherwise, a pixel's value by 2e-3.
    scale = np.float32((source - 1) / (target - 1)) if target > 1 else np.float32(0)
    matrix = np.zeros((target, source))
    for row in range(target):
        position = np.float32(row) * scale
        base = int(position)
        offset = float(position - np.float32(base))
        for tap, weight in _taps(offset, interpolation):
            matrix[row, min(max(base + tap, 0), source - 1)] += weight
    matrix = matrix.astype(np.float32)
    matrix.setflags(write=False)  # one array for every caller
    return matrix


def _taps(offset: float, interpolation: Interpolation) -> list[tuple[int, float]]:
    if interpolation == "bilinear":
        return [(0, 1 - offset), (1, offset)]
    return [(tap, _keys(abs(tap - offset))) for tap in (-1, 0, 1, 2)]


def _keys(distance: float, a: float = -0.75) -> float:
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance**2 + 1
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
