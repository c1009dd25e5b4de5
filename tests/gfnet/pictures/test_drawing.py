from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from gfnet.inference.geometry import resize_glance
from gfnet.inference.traces import StepTrace, Trace
from gfnet.pictures.drawing import FAINT, INK, PAPER, clip_text, draw_trace, font, step_colour

BLANK = np.zeros((90, 90, 3), np.uint8)
IMAGE = (slice(18, 18 + 460), slice(18, 18 + 460))
"""Where the image lies on the sheet: 460 pixels from the margin on."""
LEFT_TILES = slice(496, 496 + 206)


def step(number, origin, confidence=0.75, class_index=1):
    return StepTrace(number, origin and (0.0, 0.0), origin, np.zeros(2, np.float32), confidence, class_index, 0.0)


def where(picture, colour):
    """First and last row, first and last column of a colour."""
    rows, cols = np.nonzero((np.asarray(picture) == ImageColor.getrgb(colour)).all(axis=2))
    return rows.min(), rows.max(), cols.min(), cols.max()


def test_each_patch_is_framed_in_its_step_s_colour_at_its_place():
    trace = Trace("x", (step(1, None), step(2, (30, 60))))
    drawn = np.asarray(draw_trace(BLANK, trace, 30, ["no", "yes"], truth="yes"))
    # 460 / 90 screen pixels for one of the image; a white line runs around the frame, but not
    # around the number in its upper left corner.
    assert where(drawn[IMAGE], step_colour(2)) == (153, 304, 307, 458)


def test_numbers_of_patches_at_one_place_do_not_hide_each_other():
    trace = Trace("x", tuple(step(n, None if n == 1 else (30, 30)) for n in range(1, 6)))
    drawn = np.asarray(draw_trace(BLANK, trace, 30))[IMAGE]
    for number in range(2, 6):
        filled = (drawn == ImageColor.getrgb(step_colour(number))).all(axis=2).sum()
        assert filled > 38 * 38 / 2, f"the number of step {number} is hidden"


@pytest.mark.parametrize(("steps", "columns"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)])
def test_tiles_stand_in_two_rows(steps, columns):
    drawn = draw_trace(BLANK, Trace("x", (step(1, None),)), 30, steps=steps)
    assert drawn.size == (36 + 460 + columns * (206 + 18), 614)


def test_steps_that_were_not_run_are_grey_tiles():
    stopped = draw_trace(BLANK, Trace("x", (step(1, None),)), 30, steps=2)
    run = draw_trace(BLANK, Trace("x", (step(1, None), step(2, (0, 0)))), 30, steps=2)
    lower = (slice(316, 316 + 206), LEFT_TILES)
    assert np.asarray(stopped)[lower].mean() > 220
    assert np.asarray(run)[lower].mean() < 100
    assert np.asarray(draw_trace(BLANK, Trace("x", (step(1, None),)), 30))[lower].mean() == 255  # T is not known


def test_only_the_last_step_s_tile_says_stop():
    drawn = np.asarray(
        draw_trace(np.full((90, 90, 3), 200, np.uint8), Trace("x", (step(1, None), step(2, (0, 0)))), 30)
    )
    upper, lower = drawn[18 : 18 + 206, LEFT_TILES], drawn[316 : 316 + 206, LEFT_TILES]
    dark = [(tile == ImageColor.getrgb(INK)).all(axis=2).sum() for tile in (upper, lower)]
    assert dark[1] > 1500 > 3 * dark[0]


def test_the_glance_is_shrunk_as_the_network_shrinks_it():
    pixels = np.random.default_rng(0).integers(0, 256, (120, 120, 3)).astype(np.uint8)
    for interpolation in ("bilinear", "bicubic"):
        drawn = draw_trace(pixels, Trace("x", (step(1, None),)), 40, interpolation=interpolation)
        tile = np.asarray(drawn.crop((496, 18, 496 + 206, 18 + 206)).resize((40, 40), Image.Resampling.BOX), int)
        seen = np.rint(resize_glance(pixels, 40, interpolation).clip(0, 255)).astype(int)
        inner = (slice(10, 30), slice(2, 38))  # no frame, number or stop
        assert np.abs(tile - seen)[inner].mean() < 12
        other = resize_glance(pixels, 40, "bicubic" if interpolation == "bilinear" else "bilinear").clip(0, 255)
        assert np.abs(tile - seen)[inner].mean() < np.abs(tile - other)[inner].mean()


@pytest.mark.parametrize(("size", "patch"), [(120, 40), (224, 96), (300, 144), (600, 224)])
def test_images_of_every_size_fill_the_same_place(size, patch):
    drawn = draw_trace(np.zeros((size, size, 3), np.uint8), Trace("x", (step(1, None), step(2, (0, 0)))), patch)
    assert drawn.size == (720, 614)
    assert np.asarray(drawn)[18 + 230, 18 + 400].tolist() == [0, 0, 0]
    assert drawn.getpixel((10, 10)) == ImageColor.getrgb(PAPER)


def test_long_names_end_with_an_ellipsis_inside_their_width():
    for name in ("hartebeest of the savannah " * 400, "北京烤鸭" * 30, "x" * 5000):
        clipped = clip_text(name, 206, 29)
        assert clipped.endswith("…")
        assert 150 < font(29, clipped).getlength(clipped) <= 206
    assert clip_text(" two\nlines ", 206, 29) == "two lines"


def test_the_text_of_a_long_name_stays_off_the_next_tile():
    trace = Trace("x", (step(1, None), step(2, (0, 0))))
    drawn = draw_trace(BLANK, trace, 30, ["no", "W" * 200], steps=3, truth="M" * 300)
    gap = np.asarray(drawn)[:, 496 + 206 : 496 + 206 + 18]
    assert (gap == 255).all()
    assert where(drawn, FAINT)[3] < 18 + 460 or where(drawn, FAINT)[3] > 496


def test_accents_written_in_two_characters_are_drawn_as_one():
    assert clip_text("A\u0308pfel", 400, 29) == "Äpfel"
