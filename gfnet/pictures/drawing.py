"""Pictures of where a network looked.  Needs pillow only."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gfnet.config import Interpolation
from gfnet.inference.geometry import crop_patch, resize_glance
from gfnet.inference.traces import StepTrace, Trace, label_of

STEP_COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#ec4899")
"""Colour of each step, from the glance on; later steps begin again."""

PAPER, INK, FAINT = "#ffffff", "#1f2937", "#5b6472"
"""What every picture is drawn on and lettered with."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_MARGIN = 18
_IMAGE_SIDE = 460
_TILE_SIDE = 206
_TILE_HEIGHT = 280  # with the lines below it
_HEIGHT = 2 * _TILE_HEIGHT + 3 * _MARGIN
_BADGE, _STOP = 38, 76  # height of a number's box; width of "stop"
_LINE, _NOT_RUN = "#d1d5db", "#eef0f3"
_RIGHT, _WRONG = "#047857", "#b91c1c"
_OTHER_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "PingFang.ttc",
    "msyh.ttc",
    "malgun.ttf",
)
"""Looked for on the system when a class's name needs letters beyond those of English."""
# Large for a sheet of this width: pages show it at half its size.
_LARGE, _NORMAL, _SMALL = 38, 29, 26


def step_colour(step: int) -> str:
    """The colour that stands for ``step`` (1 .. T) in every picture."""
    return STEP_COLOURS[(step - 1) % len(STEP_COLOURS)]


def draw_trace(
    pixels: np.ndarray,
    trace: Trace,
    patch_size: int,
    labels: Sequence[str] | None = None,
    *,
    steps: int | None = None,
    interpolation: Interpolation = "bicubic",
    truth: str | None = None,
) -> Image.Image:
    """One image and what the network saw of it: the patches' boxes on it, and each step's input beside it.

    Args:
        pixels: uint8 [S,S,3], the preprocessed image.
        trace: what happened.
        patch_size: side of the patches, pixels.
        labels: class names.
        steps: T; those that were not run are drawn as empty tiles.  ``None`` draws the trace's own only.
        interpolation: of the network's glance.
        truth: the right class's name, shown if given.

    Returns:
        An RGB picture: the image on the left, one tile a step on the right in two rows, each with its answer.
    """
    total = max(steps or 0, trace.exit_step)
    columns = (total + 1) // 2
    width = 2 * _MARGIN + _IMAGE_SIDE + columns * (_TILE_SIDE + _MARGIN)
    sheet = Image.new("RGB", (width, _HEIGHT), PAPER)
    canvas = ImageDraw.Draw(sheet)
    sheet.paste(_scaled(pixels, _IMAGE_SIDE), (_MARGIN, _MARGIN))
    end = _MARGIN + _IMAGE_SIDE
    canvas.rectangle((_MARGIN - 1, _MARGIN - 1, end, end), outline=_LINE)  # white pictures end somewhere too
    scale = _IMAGE_SIDE / pixels.shape[0]
    for step in trace.steps:
        if step.origin is not None:
            _draw_box(canvas, step, patch_size * scale, scale)
    _draw_caption(canvas, trace, total, labels, truth)
    for index in range(total):
        row, column = divmod(index, columns)
        corner = (
            2 * _MARGIN + _IMAGE_SIDE + column * (_TILE_SIDE + _MARGIN),
            _MARGIN + row * (_TILE_HEIGHT + _MARGIN),
        )
        if index < len(trace.steps):
            step = trace.steps[index]
            seen = _input_of(step, pixels, patch_size, interpolation)
            stopped = step.step == trace.exit_step
            _draw_tile(sheet, canvas, seen, step, corner, label_of(step.class_index, labels), stopped=stopped)
        else:
            _draw_empty_tile(canvas, index + 1, corner)
    return sheet


def clip_text(text: str, width: float, size: int) -> str:
    """``text`` on one line, cut with an ellipsis where it is wider than ``width`` pixels at ``size``."""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    lettering = font(size, text)
    if lettering.getlength(text) <= width:
        return text
    keep = min(len(text), int(width))  # hardly a letter is narrower than a pixel
    while keep and lettering.getlength(text[:keep].rstrip() + "…") > width:
        keep -= 1
    return text[:keep].rstrip() + "…"


def font(size: int, text: str = "") -> Font:
    """What ``text`` is lettered with, ``size`` pixels high: pillow's own font, or one with more of its letters."""
    own = _load_font(None, size)
    assert own is not None
    if text.isascii():
        return own
    fonts = [own, *(found for name in _OTHER_FONTS if (found := _load_font(name, size)) is not None)]
    return max(fonts, key=lambda candidate: sum(_has_letter(candidate, letter) for letter in text))


@cache
def _load_font(name: str | None, size: int) -> Font | None:
    try:
        return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)
    except OSError:
        return None


@cache
def _has_letter(lettering: Font, letter: str) -> bool:
    """Whether the font has a shape of its own for a letter; what it lacks looks like what no font has."""
    missing, mask = lettering.getmask("\uffff"), lettering.getmask(letter)
    return mask.size != missing.size or bytes(mask) != bytes(missing)


def _input_of(step: StepTrace, pixels: np.ndarray, patch_size: int, interpolation: Interpolation) -> np.ndarray:
    """What the network saw at ``step``, uint8 [P,P,3]."""
    if step.origin is not None:
        return crop_patch(pixels, step.origin, patch_size)
    glance: np.ndarray = np.rint(resize_glance(pixels, patch_size, interpolation).clip(0, 255)).astype(np.uint8)
    return glance


def _draw_box(canvas: ImageDraw.ImageDraw, step: StepTrace, side: float, scale: float) -> None:
    assert step.origin is not None
    row, col = step.origin
    left, top = round(_MARGIN + col * scale), round(_MARGIN + row * scale)
    right, bottom = round(left + side) - 1, round(top + side) - 1
    # A white line on either side keeps the frame visible on any picture.
    canvas.rectangle((left, top, right, bottom), outline="white", width=7)
    canvas.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=step_colour(step.step), width=5)
    # Each number sits in another corner: patches at one place would hide each other's.
    corner = (step.step - 2) % 4
    badge_left = right + 1 - _BADGE if corner in (1, 2) else left
    badge_top = bottom + 1 - _BADGE if corner in (2, 3) else top
    _draw_badge(canvas, str(step.step), step_colour(step.step), badge_left, badge_top)


def _draw_badge(
    canvas: ImageDraw.ImageDraw, text: str, colour: str, left: float, top: float, *, ink: str = INK
) -> None:
    """Lettering on a filled box, as wide as the text needs but no narrower than high."""
    width = max(_BADGE, font(_NORMAL).getlength(text) + 16)
    canvas.rectangle((left, top, left + width - 1, top + _BADGE - 1), fill=colour)
    canvas.text((left + width / 2, top + _BADGE / 2), text, ink, font(_NORMAL), anchor="mm")


def _draw_caption(
    canvas: ImageDraw.ImageDraw, trace: Trace, total: int, labels: Sequence[str] | None, truth: str | None
) -> None:
    answer = label_of(trace.class_index, labels)
    top = _MARGIN + _IMAGE_SIDE + 6
    lines = [
        (0, answer, INK, _LARGE),
        (44, f"{trace.confidence:.0%} sure, stopped at step {trace.exit_step} of {total}", FAINT, _SMALL),
    ]
    if truth is not None:
        right = truth == answer
        lines.append((76, "right" if right else f"wrong, it is {truth}", _RIGHT if right else _WRONG, _SMALL))
    for below, text, colour, size in lines:
        _draw_line(canvas, (_MARGIN, top + below), text, _IMAGE_SIDE, colour, size)


def _draw_line(
    canvas: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, width: int, colour: str, size: int
) -> None:
    text = clip_text(text, width, size)
    canvas.text(corner, text, colour, font(size, text))


def _draw_tile(
    sheet: Image.Image,
    canvas: ImageDraw.ImageDraw,
    seen: np.ndarray,
    step: StepTrace,
    corner: tuple[int, int],
    label: str,
    *,
    stopped: bool,
) -> None:
    left, top = corner
    colour = step_colour(step.step)
    right, bottom = left + _TILE_SIDE - 1, top + _TILE_SIDE - 1
    sheet.paste(_scaled(seen, _TILE_SIDE), corner)
    canvas.rectangle((left, top, right, bottom), outline=colour, width=5)
    _draw_badge(canvas, "1 glance" if step.origin is None else str(step.step), colour, left, top)
    if stopped:
        _draw_badge(canvas, "stop", INK, right + 1 - _STOP, bottom + 1 - _BADGE, ink="white")
    _draw_line(canvas, (left, bottom + 4), label, _TILE_SIDE, INK, _NORMAL)
    bar = bottom + 58
    end = left + _TILE_SIDE - 74  # a percentage is as wide as "100%"
    canvas.rectangle((left, bar - 6, end, bar + 6), fill=_LINE)
    canvas.rectangle((left, bar - 6, left + (end - left) * step.confidence, bar + 6), fill=colour)
    canvas.text((right, bar), f"{step.confidence:.0%}", INK, font(_SMALL), anchor="rm")


def _draw_empty_tile(canvas: ImageDraw.ImageDraw, step: int, corner: tuple[int, int]) -> None:
    left, top = corner
    canvas.rectangle((left, top, left + _TILE_SIDE - 1, top + _TILE_SIDE - 1), fill=_NOT_RUN, outline=_LINE, width=2)
    _draw_badge(canvas, str(step), _LINE, left, top)
    canvas.text((left + _TILE_SIDE / 2, top + _TILE_SIDE / 2), "not run", FAINT, font(_SMALL), anchor="mm")


def _scaled(pixels: np.ndarray, side: int) -> Image.Image:
    """Enlarged without smoothing, so that a coarse glance looks coarse."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if picture.width >= side:
        return picture.resize((side, side), Image.Resampling.LANCZOS)
    # Whole multiples first: otherwise some pixels would come out wider than others.
    multiple = -(-side // picture.width) * picture.width
    enlarged = picture.resize((multiple, multiple), Image.Resampling.NEAREST)
    return enlarged.resize((side, side), Image.Resampling.BOX)
