"""Pictures of where a network looked.  Needs pillow only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gfnet.geometry import crop_patch, resize_glance
from gfnet.traces import StepTrace, Trace, label_of

STEP_COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#ec4899")
"""Colour of each step, from the glance on; later steps begin again."""

_IMAGE_SIDE = 360
_MARGIN = 14
_CAPTION = 46
_PAPER, _INK, _FAINT = "#ffffff", "#1f2937", "#6b7280"


def step_colour(step: int) -> str:
    """The colour that stands for ``step`` (1 .. T) in every picture."""
    return STEP_COLOURS[(step - 1) % len(STEP_COLOURS)]


def draw_trace(
    pixels: np.ndarray, trace: Trace, patch_size: int, labels: Sequence[str] | None = None, *, truth: str | None = None
) -> Image.Image:
    """One image and what the network saw of it: the patches' boxes on it, and each step's input beside it.

    Args:
        pixels: uint8 [S,S,3], the preprocessed image.
        trace: what happened.
        patch_size: side of the patches, pixels.
        labels: class names.
        truth: the right class's name, shown if given.

    Returns:
        An RGB picture: the image on the left, one tile a step on the right, each with its answer.
    """
    tile = _IMAGE_SIDE // 2
    columns = len(trace.steps)
    width = _MARGIN + _IMAGE_SIDE + columns * (tile + _MARGIN) + _MARGIN
    height = 2 * _MARGIN + _IMAGE_SIDE + _CAPTION
    sheet = Image.new("RGB", (width, height), _PAPER)
    canvas = ImageDraw.Draw(sheet)
    sheet.paste(_scaled(pixels, _IMAGE_SIDE), (_MARGIN, _MARGIN))
    scale = _IMAGE_SIDE / pixels.shape[0]
    for step in trace.steps:
        if step.origin is not None:
            _draw_box(canvas, step, patch_size * scale, scale)
    caption = f"{label_of(trace.class_index, labels)}, {trace.confidence:.0%} sure after step {trace.exit_step}"
    canvas.text((_MARGIN, _MARGIN + _IMAGE_SIDE + 6), caption, _INK, _font(17))
    if truth is not None:
        canvas.text((_MARGIN, _MARGIN + _IMAGE_SIDE + 27), f"truth: {truth}", _FAINT, _font(14))
    for column, step in enumerate(trace.steps):
        left = 2 * _MARGIN + _IMAGE_SIDE + column * (tile + _MARGIN)
        _draw_tile(sheet, canvas, pixels, step, patch_size, (left, _MARGIN + tile // 2), tile, labels)
    return sheet


def _draw_box(canvas: ImageDraw.ImageDraw, step: StepTrace, side: float, scale: float) -> None:
    assert step.origin is not None
    row, col = step.origin
    left, top = _MARGIN + col * scale, _MARGIN + row * scale
    colour = step_colour(step.step)
    canvas.rectangle((left, top, left + side, top + side), outline=colour, width=4)
    canvas.rectangle((left, top, left + 20, top + 22), fill=colour)
    canvas.text((left + 6, top + 1), str(step.step), "white", _font(16))


def _draw_tile(
    sheet: Image.Image,
    canvas: ImageDraw.ImageDraw,
    pixels: np.ndarray,
    step: StepTrace,
    patch_size: int,
    corner: tuple[int, int],
    side: int,
    labels: Sequence[str] | None,
) -> None:
    left, top = corner
    if step.origin is None:
        seen = np.rint(resize_glance(pixels, patch_size, "bicubic").clip(0, 255)).astype(np.uint8)
    else:
        seen = crop_patch(pixels, step.origin, patch_size)
    colour = step_colour(step.step)
    sheet.paste(_scaled(seen, side), corner)
    canvas.rectangle((left - 2, top - 2, left + side + 1, top + side + 1), outline=colour, width=3)
    title = "1  glance" if step.origin is None else f"{step.step}  focus"
    canvas.text((left, top - 26), title, colour, _font(16))
    canvas.text((left, top + side + 6), label_of(step.class_index, labels), _INK, _font(16))
    canvas.rectangle((left, top + side + 30, left + side, top + side + 36), fill="#e5e7eb")
    canvas.rectangle((left, top + side + 30, left + side * step.confidence, top + side + 36), fill=colour)
    canvas.text((left, top + side + 40), f"{step.confidence:.0%}", _FAINT, _font(14))


def _scaled(pixels: np.ndarray, side: int) -> Image.Image:
    """Enlarged without smoothing, so that a coarse glance looks coarse."""
    filtering = Image.Resampling.NEAREST if pixels.shape[0] < side else Image.Resampling.LANCZOS
    return Image.fromarray(np.ascontiguousarray(pixels)).resize((side, side), filtering)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
