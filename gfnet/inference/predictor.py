"""Images in, traces out, on any runtime.  Needs numpy and pillow only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gfnet.errors import ImageError
from gfnet.inference.adaptive import StepRunner, classify
from gfnet.inference.budgets import BudgetPoint
from gfnet.inference.images import Preprocessing, load_image
from gfnet.inference.traces import Trace


@dataclass(frozen=True)
class Predictor:
    """Classifies images of any size and mode, each only as far as it must.

    Attributes:
        runner: the network's step functions on some runtime.
        preprocessing: from a picture to the runner's pixels.
        labels: class names, or ``None``.
        points: the network's stored sets of thresholds, possibly none.
        batch_size: images that are run together; runtimes with fixed shapes take 1.
    """

    runner: StepRunner
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None = None
    points: tuple[BudgetPoint, ...] = ()
    batch_size: int = 1

    def __call__(self, images: Iterable[Any], thresholds: Sequence[float] | None = None) -> list[Trace]:
        """Classify images.

        Args:
            images: paths, PIL images, arrays or tensors, as :func:`gfnet.inference.images.load_image` takes them.
            thresholds: T exit thresholds; ``None`` runs all steps.

        Returns:
            One trace for each image, in order.

        Raises:
            ImageError: an image cannot be read.
        """
        return [trace for trace, _ in self.stream(images, thresholds)]

    def stream(
        self,
        images: Iterable[Any],
        thresholds: Sequence[float] | None = None,
        *,
        unreadable: list[str] | None = None,
    ) -> Iterator[tuple[Trace, np.ndarray]]:
        """Classify images one batch after another, keeping nothing of those before.

        Args:
            images: as above.
            thresholds: as above.
            unreadable: takes one message for each image that cannot be read, which is then left out.

        Yields:
            Trace and pixels uint8 [S,S,3] of each image that can be read, in order.

        Raises:
            ImageError: an image cannot be read, and there is no list for it.
        """
        names: list[str] = []
        pixels: list[np.ndarray] = []
        for index, image in enumerate(images):
            name = _name(image, index)
            try:
                pixels.append(self.preprocessing(load_image(image, name)))
                names.append(name)
            except ImageError as error:
                if unreadable is None:
                    raise
                unreadable.append(str(error))
            if len(pixels) == self.batch_size:
                yield from zip(classify(self.runner, np.stack(pixels), thresholds, names), pixels, strict=True)
                names, pixels = [], []
        if pixels:
            yield from zip(classify(self.runner, np.stack(pixels), thresholds, names), pixels, strict=True)


def _name(image: Any, index: int) -> str:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {index}"
