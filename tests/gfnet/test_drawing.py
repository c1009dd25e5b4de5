from __future__ import annotations

import numpy as np
from PIL import ImageColor

from gfnet.drawing import draw_trace, step_colour
from gfnet.traces import StepTrace, Trace


def step(number, origin):
    return StepTrace(number, origin and (0.0, 0.0), origin, np.zeros(2, np.float32), 0.75, 1, 0.0)


def test_each_patch_is_framed_in_its_step_s_colour_at_its_place():
    pixels = np.zeros((90, 90, 3), np.uint8)
    trace = Trace("x", (step(1, None), step(2, (30, 60))))
    drawn = np.asarray(draw_trace(pixels, trace, 30, ["no", "yes"], truth="yes"))
    scene = drawn[14 : 14 + 360, 14 : 14 + 360]  # 4 screen pixels for one of the scene
    framed = np.argwhere((scene == ImageColor.getrgb(step_colour(2))).all(axis=2))
    assert framed.min(axis=0).tolist() == [120, 240]
    assert framed.max(axis=0).tolist() == [240, 359]


def test_pictures_grow_with_the_number_of_steps():
    pixels = np.zeros((90, 90, 3), np.uint8)
    widths = [draw_trace(pixels, Trace("x", (step(1, None),) * n), 30).width for n in (1, 2, 3)]
    assert widths[2] - widths[1] == widths[1] - widths[0] > 0
