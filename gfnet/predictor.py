"""Images in, traces out, on any runtime.  Needs numpy and pillow only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gfnet.adaptive import StepRunner, classify
from gfnet.errors import ImageError
from gfnet.images import Preprocessing, load_image
from gfnet.progress import Progress
from gfnet.results import BudgetPoint
from gfnet.traces import Trace


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
            images: paths, PIL images, arrays or tensors, as :func:`gfnet.images.load_image` takes them.
            thresholds: T exit thresholds; ``None`` runs all steps.

        Returns:
            One trace for each image, in order.

        Raises:
            ImageError: an image cannot be read.
        """
        return list(self._run(((_name(image, i), image) for i, image in enumerate(images)), thresholds, None))

    def classify_readable(
        self, images: Sequence[Any], thresholds: Sequence[float] | None = None, *, strict: bool = False
    ) -> tuple[list[Trace], list[str]]:
        """Classify what can be read, showing progress.

        Args:
            images: as above.
            thresholds: as above.
            strict: raise at the first image that cannot be read, after all.

        Returns:
            The traces, and one message for each image that cannot be read.
        """
        unreadable: list[str] = []
        named = ((_name(image, i), image) for i, image in enumerate(images))
        with Progress("predict", len(images), "images") as progress:
            traces = []
            for trace in self._run(named, thresholds, None if strict else unreadable):
                traces.append(trace)
                progress.advance()
        return traces, unreadable

    def _run(
        self,
        named: Iterable[tuple[str, Any]],
        thresholds: Sequence[float] | None,
        unreadable: list[str] | None,
    ) -> Iterator[Trace]:
        """Traces of what can be read; the rest is collected, or raised if there is no list for it."""
        names: list[str] = []
        pixels: list[np.ndarray] = []
        for name, image in named:
            try:
                pixels.append(self.preprocessing(load_image(image, name)))
                names.append(name)
            except ImageError as error:
                if unreadable is None:
                    raise
                unreadable.append(str(error))
            if len(pixels) == self.batch_size:
                yield from classify(self.runner, np.stack(pixels), thresholds, names)
                names, pixels = [], []
        if pixels:
            yield from classify(self.runner, np.stack(pixels), thresholds, names)


def _name(image: Any, index: int) -> str:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {index}"
