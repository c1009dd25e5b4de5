"""Where the patches of many images fall, counted pixel by pixel.  Needs numpy only."""

from __future__ import annotations

import numpy as np

from gfnet.inference.traces import Trace


class Coverage:
    """How often each pixel of the preprocessed square lay in a patch.

    Each patch costs four additions: counts are differences along both axes until someone asks for them.

    Args:
        image_size: side of the square, pixels.
        patch_size: side of the patches, pixels.
        steps: T.
    """

    def __init__(self, image_size: int, patch_size: int, steps: int) -> None:
        self.image_size, self.patch_size, self.steps = image_size, patch_size, steps
        self.patches = np.zeros(steps + 1, np.int64)
        """Number of patches at each step, by its number; none at 0 and at the glance."""
        self._differences = np.zeros((steps + 1, image_size + 1, image_size + 1), np.int64)

    def add(self, trace: Trace) -> None:
        """Count the patches of one image.

        Raises:
            ValueError: a patch does not lie within the square.
        """
        for step in trace.steps:
            if step.origin is None:
                continue
            row, col = step.origin
            row_end, col_end = row + self.patch_size, col + self.patch_size
            if min(row, col) < 0 or max(row_end, col_end) > self.image_size:
                raise ValueError(f"{trace.image}: patch at {step.origin} leaves {self.image_size} pixels")
            differences = self._differences[step.step]
            differences[row, col] += 1
            differences[row, col_end] -= 1
            differences[row_end, col] -= 1
            differences[row_end, col_end] += 1
            self.patches[step.step] += 1

    def counts(self, step: int | None = None) -> np.ndarray:
        """Number of patches that cover each pixel, int64 [S,S].

        Args:
            step: 2 .. T; ``None`` adds all steps up.
        """
        differences = self._differences.sum(axis=0) if step is None else self._differences[step]
        counts: np.ndarray = differences.cumsum(axis=0).cumsum(axis=1)[: self.image_size, : self.image_size]
        return counts

    def shares(self, step: int | None = None) -> np.ndarray:
        """The same as a share of the step's patches, float64 [S,S] in [0, 1]; zeros if there are none.

        Each image that reaches a focus step has one patch there, so this is also the share of those images.
        """
        patches = self.patches.sum() if step is None else self.patches[step]
        return self.counts(step) / max(int(patches), 1)
