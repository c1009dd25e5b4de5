"""The photos of a benchmark, each decoded once, as the squares that each preprocessing makes of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL.Image import Image

from gfnet.errors import DataError, ImageError
from gfnet.inference.images import Preprocessing, load_image
from gfnet_benchmark.measure.timing import Clock

KEPT_BYTES = 256 * 1024**2
"""Of decoded photos, which are kept for the squares that are asked for later; what is beyond is decoded again."""


@dataclass(frozen=True, eq=False)
class Squares:
    """Every photo that can be read, as what networks are given.

    Attributes:
        paths: of the photos.
        unreadable: messages for those that cannot be read.
        pixels: a square uint8 [1,S,S,3] for each photo, by preprocessing: 150,528 bytes for 224 pixels, so that 1,526
            photos are 230 MB.
        seconds_each: what decoding and cutting one photo took on average, by preprocessing.
    """

    paths: tuple[Path, ...]
    unreadable: tuple[str, ...]
    pixels: dict[Preprocessing, list[np.ndarray]]
    seconds_each: dict[Preprocessing, float]


class Photos:
    """Photos that are decoded when they are first asked for, and then kept up to :data:`KEPT_BYTES`.

    Args:
        files: of which some may be unreadable.
        clock: for what decoding takes.
    """

    def __init__(self, files: Sequence[Path], clock: Clock = time.perf_counter) -> None:
        self.files = tuple(files)
        self._clock = clock
        self._kept: dict[Path, tuple[Image, float]] = {}
        self._kept_bytes = 0
        self._unreadable: dict[Path, str] = {}

    def first(self, count: int, preprocessing: Preprocessing) -> list[np.ndarray]:
        """Squares uint8 [S,S,3] of the first photos that can be read, at most so many.

        Raises:
            DataError: none can be read.
        """
        decoded = (photo for file in self.files if (photo := self._decoded(file)) is not None)
        found = [preprocessing(photo) for photo, _ in islice(decoded, count)]
        self._refuse_unless(bool(found))
        return found

    def squares(self, preprocessings: Iterable[Preprocessing]) -> Squares:
        """Squares of all photos; the decoded ones are let go.

        Raises:
            DataError: none can be read.
        """
        ways = tuple(dict.fromkeys(preprocessings))
        paths: list[Path] = []
        pixels: dict[Preprocessing, list[np.ndarray]] = {way: [] for way in ways}
        seconds = dict.fromkeys(ways, 0.0)
        for file in self.files:
            decoded = self._decoded(file)
            if decoded is None:
                continue
            photo, decoding = decoded
            paths.append(file)
            for way in ways:
                start = self._clock()
                pixels[way].append(way(photo)[None])
                seconds[way] += decoding + self._clock() - start
        self._kept.clear()
        self._kept_bytes = 0
        self._refuse_unless(bool(paths))
        return Squares(
            paths=tuple(paths),
            unreadable=tuple(self._unreadable[file] for file in self.files if file in self._unreadable),
            pixels=pixels,
            seconds_each={way: spent / len(paths) for way, spent in seconds.items()},
        )

    def _decoded(self, file: Path) -> tuple[Image, float] | None:
        """A photo, and how many seconds it took to decode; ``None`` if it cannot be read."""
        if file in self._kept or file in self._unreadable:
            return self._kept.get(file)
        start = self._clock()
        try:
            photo = load_image(file)
        except ImageError as error:
            self._unreadable[file] = str(error)
            return None
        found = photo, self._clock() - start
        if self._kept_bytes + _bytes(photo) <= KEPT_BYTES:
            self._kept[file] = found
            self._kept_bytes += _bytes(photo)
        return found

    def _refuse_unless(self, any_readable: bool) -> None:
        if not any_readable:
            first = next(iter(self._unreadable.values()), "there are none")
            raise DataError(f"none of {len(self.files)} images could be read; the first: {first}")


def _bytes(photo: Image) -> int:
    return 3 * photo.width * photo.height
