from __future__ import annotations

import numpy as np
import pytest

from gfnet.inference.traces import StepTrace, Trace
from gfnet.pictures.coverage import Coverage
from gfnet.pictures.heatmap import _nice_ceiling, draw_heatmap


def coverage_of(*images, total=3):
    coverage = Coverage(30, 10, total)
    for origins in images:
        traced = [
            StepTrace(i, None, o, np.zeros(2, np.float32), 0.5, 0, 0.0) for i, o in enumerate((None, *origins), 1)
        ]
        coverage.add(Trace("x", tuple(traced)))
    return coverage


def test_without_patches_there_is_no_heat_map():
    assert draw_heatmap(coverage_of((), ())) is None


def test_there_is_a_panel_for_each_step_that_was_reached_and_one_for_all():
    one = draw_heatmap(coverage_of([(0, 0)]))
    three = draw_heatmap(coverage_of([(0, 0), (20, 20)]))
    assert three.height == one.height
    assert three.width - one.width == 2 * 320


def test_a_panel_is_light_where_patches_fall_and_dark_elsewhere():
    # Columns of 320, panels of 300 pixels from (20, 66) on: ten for each pixel of the square.
    drawn = np.asarray(draw_heatmap(coverage_of([(0, 0), (20, 20)])).convert("L"), int)
    second, third = drawn[66:366, 20:320], drawn[66:366, 340:640]
    assert second[50, 50] > 200 > 40 > second[250, 250]
    assert third[250, 250] > 200 > 40 > third[50, 50]


def test_on_a_dark_page_the_ground_is_dark_and_the_panels_are_the_same():
    light, dark = (
        np.asarray(draw_heatmap(coverage_of([(0, 0)]), dark=dark).convert("L"), int) for dark in (False, True)
    )
    assert light[5, 5] == 255
    assert dark[5, 5] < 40
    assert np.array_equal(light[66:366, 20:320], dark[66:366, 20:320])


def test_many_steps_go_on_in_the_next_row():
    few = draw_heatmap(coverage_of([(0, 0), (5, 5)], total=3))
    many = draw_heatmap(coverage_of([(0, 0), (5, 5), (9, 9), (1, 1)], total=5))
    assert many.width == few.width
    assert many.height > 1.8 * few.height


@pytest.mark.parametrize(("share", "end"), [(0, 0.01), (0.011, 0.02), (0.1, 0.1), (0.11, 0.2), (0.41, 0.6), (1, 1)])
def test_the_scale_ends_at_a_round_share_above_the_largest(share, end):
    assert _nice_ceiling(share) == pytest.approx(end)
