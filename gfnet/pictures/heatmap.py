"""A picture of where patches fall.  Needs pillow only."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from gfnet.pictures.coverage import Coverage
from gfnet.pictures.drawing import FAINT, INK, PAPER, font, step_colour

_LIGHT = (PAPER, INK, FAINT)
_DARK = ("#14181f", "#e5e9f0", "#9aa5b5")  # the gallery's own colours in the dark

_PANEL, _MARGIN, _TITLE, _BAR = 300, 20, 66, 22
_LARGE, _SMALL = 25, 20
_COLUMNS = 3
_RAMP = np.array(
    [
        (20, 14, 54),
        (59, 28, 112),
        (112, 37, 120),
        (165, 50, 106),
        (213, 75, 78),
        (243, 123, 48),
        (250, 184, 60),
        (250, 244, 180),
    ],
    np.float64,
)
"""Colours from 0 to the largest share: ever lighter, so that they can be told apart without hue."""


def draw_heatmap(coverage: Coverage, *, dark: bool = False) -> Image.Image | None:
    """For every pixel of the square, the share of patches that cover it: one panel a focus step, and all of them.

    All panels have one scale, so they can be compared.

    Args:
        dark: light letters on a dark ground; the panels' colours are the same.

    Returns:
        An RGB picture, or ``None`` if there is no patch.
    """
    reached = [step for step in range(2, coverage.steps + 1) if coverage.patches[step]]
    if not reached:
        return None
    paper, ink, faint = _DARK if dark else _LIGHT
    panels = [
        (f"step {step}", _images(int(coverage.patches[step])), coverage.shares(step), step_colour(step))
        for step in reached
    ]
    if len(reached) > 1:
        panels.append(("all steps", f"{coverage.patches.sum():,} patches", coverage.shares(), ink))
    top = _nice_ceiling(max(float(shares.max()) for _, _, shares, _ in panels))
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    width = _MARGIN + columns * (_PANEL + _MARGIN) + _BAR + 70
    sheet = Image.new("RGB", (width, rows * (_PANEL + _TITLE) + _MARGIN), paper)
    canvas = ImageDraw.Draw(sheet)
    for index, (title, detail, shares, colour) in enumerate(panels):
        row, column = divmod(index, columns)
        left, above = _MARGIN + column * (_PANEL + _MARGIN), row * (_PANEL + _TITLE)
        canvas.rectangle((left, above + 18, left + 10, above + _TITLE - 8), fill=colour)
        canvas.text((left + 20, above + 10), title, ink, font(_LARGE))
        canvas.text((left + 20, above + 38), detail, faint, font(_SMALL))
        panel = Image.fromarray(_coloured(shares / top))
        sheet.paste(panel.resize((_PANEL, _PANEL), Image.Resampling.BICUBIC), (left, above + _TITLE))
    _draw_bar(sheet, canvas, _MARGIN + columns * (_PANEL + _MARGIN), top, ink)
    return sheet


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'} reached it"


def _draw_bar(sheet: Image.Image, canvas: ImageDraw.ImageDraw, left: int, top: float, ink: str) -> None:
    """The scale beside the first row: the share that each colour stands for."""
    ramp = np.repeat(np.linspace(1, 0, _PANEL)[:, None], _BAR, axis=1)
    sheet.paste(Image.fromarray(_coloured(ramp)), (left, _TITLE))
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TITLE + round((1 - part) * (_PANEL - 1))
        canvas.line((left + _BAR, y, left + _BAR + 5, y), ink)
        anchor = "la" if part == 1 else "ld" if part == 0 else "lm"
        canvas.text((left + _BAR + 9, y), f"{100 * part * top:.3g}%", ink, font(_SMALL), anchor=anchor)


def _coloured(values: np.ndarray) -> np.ndarray:
    """Values [H,W] in [0, 1] as colours of the ramp, uint8 [H,W,3]."""
    places = np.linspace(0, 1, len(_RAMP))
    channels = [np.rint(np.interp(values, places, channel)) for channel in _RAMP.T]
    return np.stack(channels, axis=-1).astype(np.uint8)


def _nice_ceiling(share: float) -> float:
    """The end of the scale: the next of 1, 2, 4, 6, 8 or 10 hundredths or tenths."""
    for unit in (0.01, 0.1):
        for value in (1, 2, 4, 6, 8, 10):
            if share <= value * unit + 1e-9:
                return value * unit
    return 1.0
