"""Photos as a network gets them: to verify on, and to calibrate on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gfnet.console.progress import Progress
from gfnet.data.synth import CLASSES, SceneConfig, draw_scene
from gfnet.errors import ImageError
from gfnet.inference.images import Preprocessing, every_nth, find_images, load_image

_SCENES = 60


def load_squares(
    preprocessing: Preprocessing, images: Path, limit: int
) -> tuple[list[np.ndarray], list[Path], list[str]]:
    """Read photos.

    Args:
        images: file or folder.
        limit: how many to take, evenly drawn.

    Returns:
        Squares uint8 [S,S,3]; the file of each; and a message for each image that cannot be read.

    Raises:
        DataError: there are no images.
    """
    squares, files, unreadable = [], [], []
    chosen = every_nth(find_images([images]), limit)
    with Progress("read", len(chosen), "images") as progress:
        for file in chosen:
            try:
                squares.append(preprocessing(load_image(file)))
                files.append(file)
            except ImageError as error:
                unreadable.append(str(error))
            progress.advance()
    return squares, files, unreadable


def generated_squares(preprocessing: Preprocessing, limit: int) -> list[np.ndarray]:
    """At most 60 generated scenes, the same at every call: uint8 [S,S,3]."""
    generator = np.random.default_rng(0)
    config = SceneConfig(size=max(preprocessing.image_size, 32))
    return [preprocessing(draw_scene(index % len(CLASSES), generator, config)) for index in range(min(limit, _SCENES))]
