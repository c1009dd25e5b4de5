"""Pictures of traces, as ``gfnet predict --draw`` and ``gfnet visualize`` write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gfnet.files.listing import readable_name
from gfnet.inference.predictor import Predictor
from gfnet.inference.traces import Trace
from gfnet.pictures.drawing import draw_trace

_LONGEST_STEM = 40
"""Characters; with four bytes each a name still fits into the 255 bytes of most file systems."""


def draw_seen(predictor: Predictor, trace: Trace, pixels: np.ndarray) -> Image.Image:
    """What one image's trace looks like: see :func:`gfnet.pictures.drawing.draw_trace`.

    Args:
        predictor: what made the trace.
        pixels: uint8 [S,S,3], as it came with the trace.
    """
    runner = predictor.runner
    return draw_trace(
        pixels,
        trace,
        runner.patch_size,
        predictor.labels,
        steps=runner.steps,
        interpolation=runner.interpolation,
        truth=true_class(trace.image, predictor.labels),
    )


def picture_name(number: int, image: str) -> str:
    """A file name for the picture of ``image``, the ``number``-th of them: safe on every system.

    The number keeps images of one name apart.
    """
    stem = re.sub(r"[^\w.-]+", "_", Path(image).stem.encode("utf-8", "replace").decode("utf-8"))
    return f"{number:04d}-{stem[:_LONGEST_STEM]}.png"


def true_class(image: str, labels: Sequence[str] | None) -> str | None:
    """The class that an image's folder names, or ``None`` if the folder does not have the name of a class."""
    folder = readable_name(Path(image).absolute().parent.name)
    return folder if labels and folder in labels else None
