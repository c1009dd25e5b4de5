from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gfnet.errors import DataError
from gfnet.evaluation.thresholds import exit_quotas
from gfnet_benchmark.commands.paper import paper
from gfnet_benchmark.paper.recovery import (
    GRID,
    count_macs,
    exit_shares,
    find_quotients,
    fit_figure,
    fit_grid,
    mean_ratio,
    ratios_at_equal_accuracy,
)
from golden_support import GOLDEN

FLOPS = json.loads((GOLDEN / "flops.json").read_text())
MACS = {name: tuple(values["cumulative"]) for name, values in FLOPS.items() if name != "_about"}


@pytest.fixture(scope="module")
def mobile():
    return fit_figure("mobilenetv3", MACS)


@pytest.fixture(scope="module")
def resnet():
    return fit_figure("resnet", MACS)


def test_shares_are_those_of_the_rule_that_thresholds_are_searched_for():
    for steps in (3, 5):
        # The rule's own are float32.
        np.testing.assert_allclose(exit_shares(steps, GRID), exit_quotas(steps), atol=1e-6)


def test_quotients_are_found_again_from_their_means():
    lengths = (4.0, 9.0, 13.0)
    assert np.allclose(find_quotients(exit_shares(3, GRID) @ lengths, lengths), GRID)
    assert find_quotients(np.array([3.0]), lengths) == 0  # cheaper than step 1 cannot be


@pytest.mark.parametrize("first", [1, 4])
@pytest.mark.parametrize("lengths", [(4.2, 8.5, 13.0), (39.0, 78.0, 117.0, 156.0, 195.0)])
def test_known_lengths_and_their_first_place_are_found_in_noisy_points(first, lengths):
    steps = len(lengths)
    noise = 0.001 * lengths[0] * np.random.default_rng(first).standard_normal(14)
    points = exit_shares(steps, GRID[first - 1 :][:14]) @ lengths + noise
    found = fit_grid(points, steps, 0.001 * lengths[0])
    assert found.first_index == first
    assert found.lengths_ms == pytest.approx(lengths, rel=0.02)
    assert found.rms_ms < 0.002 * lengths[0]
    assert found.rms_ms < found.other_rms_ms
    assert found.worst_ms >= found.rms_ms


def test_errors_of_lengths_are_of_the_size_that_noise_makes():
    lengths, sigma = np.array([5.0, 10.0, 15.0]), 0.01
    rng = np.random.default_rng(0)
    clean = exit_shares(3, GRID[:12]) @ lengths
    fits = [fit_grid(clean + sigma * rng.standard_normal(12), 3, sigma) for _ in range(200)]
    right = [fit for fit in fits if fit.first_index == 1]
    assert len(right) > 190
    scatter = np.std([fit.lengths_ms for fit in right], axis=0)
    np.testing.assert_allclose(np.mean([fit.errors_ms for fit in right], axis=0), scatter, rtol=0.35)


def test_a_point_that_is_left_out_does_not_count():
    lengths = (4.0, 8.0, 12.0)
    points = exit_shares(3, GRID[:10]) @ lengths
    points[6] -= 0.05
    skip = np.arange(10) == 6
    assert fit_grid(points, 3, 0.005, skip).rms_ms < 1e-9
    assert fit_grid(points, 3, 0.005).rms_ms > 0.01


def test_points_that_no_lengths_explain_are_refused():
    with pytest.raises(DataError, match="no ascending latencies"):
        fit_grid(np.arange(10, 0, -1.0), 3, 0.01)
    with pytest.raises(DataError, match="3 points cannot tell 3 lengths apart"):
        fit_grid(np.array([1.0, 2.0, 3.0]), 3, 0.01)


def test_ratios_at_equal_accuracy_are_the_published_ones(mobile):
    assert mobile.ratios[0].ratio is None  # 65.4 % is less than GFNet's first point
    ratios = [ratio.ratio for ratio in mobile.ratios[1:]]
    assert ratios == pytest.approx([0.863, 0.837, 0.782, 0.766, 0.780], abs=0.001)
    assert mean_ratio(mobile.ratios) == pytest.approx(0.806, abs=0.0005)  # the first paper's 20 %
    assert [1 / ratio for ratio in ratios[2:]] == pytest.approx([1.28, 1.31, 1.28], abs=0.005)  # the second's 1.3
    assert [ratio.gfnet_ms for ratio in mobile.ratios[1:]] == pytest.approx([4.66, 5.21, 5.87, 8.65, 12.72], abs=0.006)


def test_lengths_by_way_of_multiply_adds_are_those_of_the_reference(mobile, resnet):
    small, medium, large = (fit.by_cost for fit in mobile.pieces)
    # Tolerances: what another weighting of the flat end of the curves changes.
    assert small.lengths_ms == pytest.approx((4.2, 8.5, 13.0), abs=0.05)
    assert medium.lengths_ms == pytest.approx((5.8, 12.1, 18.5), abs=0.1)
    assert large.lengths_ms == pytest.approx((8.75, 17.5, 26.4), abs=0.1)
    assert (small.intercept_ms, small.ms_per_million) == pytest.approx((0.05, 0.0961), abs=0.01)
    for fit, step, slope in zip(resnet.pieces, (38.9, 54.9), (0.0481, 0.0386), strict=True):
        assert np.diff([0, *fit.by_cost.lengths_ms]) == pytest.approx([step] * 5, abs=0.2)
        assert fit.by_cost.ms_per_million == pytest.approx(slope, abs=0.0001)


def test_the_exit_rule_alone_says_the_same_where_it_explains_the_points(mobile, resnet):
    explained = {fit.piece.network: fit for fit in (*mobile.pieces, *resnet.pieces) if fit.explained}
    assert set(explained) == {"mobilenetv3_large_100_p96_T3", "resnet50_p96_T5", "resnet50_p128_T5"}
    for fit in explained.values():
        assert fit.by_grid.first_index == 1
        assert fit.by_grid.lengths_ms == pytest.approx(fit.by_cost.lengths_ms, rel=0.01)
        assert fit.spacing == pytest.approx(1, abs=0.02)
        assert fit.by_grid.explained > 0.9999


def test_at_128_pixels_mobile_points_lie_closer_than_the_grid(mobile):
    for fit, spacing in zip(mobile.pieces[1:], (0.72, 0.76), strict=True):
        assert fit.excess > 5
        assert fit.spacing == pytest.approx(spacing, abs=0.01)
        assert fit.spaced_rms_ms < 0.02 < fit.by_grid.rms_ms
    # It is not for want of freedom: no latencies of the lengths make the grid fit.
    assert mobile.pieces[1].by_grid.free_rms_ms > 0.05


def test_a_marker_beyond_the_curve_has_no_ratio(mobile):
    pieces = [fit.piece for fit in mobile.pieces[:1]]
    ratios = ratios_at_equal_accuracy(pieces, [ratio.marker for ratio in mobile.ratios])
    assert [ratio.ratio is None for ratio in ratios] == [True, False, False, False, True, True]


def test_an_unknown_figure_and_missing_multiply_adds_are_named():
    with pytest.raises(DataError, match="no figure vgg; use one of mobilenetv3, resnet"):
        fit_figure("vgg", MACS)
    with pytest.raises(DataError, match="no multiply-adds of resnet50_p128_T5"):
        fit_figure("resnet", {"resnet50_p96_T5": MACS["resnet50_p96_T5"]})


def test_multiply_adds_come_from_our_own_networks():
    assert count_macs("mobilenetv3") == {name: MACS[name] for name in MACS if name.startswith("mobilenet")}


def test_the_command_prints_draws_and_writes(tmp_path):
    png, out = tmp_path / "figure.png", tmp_path / "figure.json"
    done = CliRunner().invoke(paper, ["--out", str(png), "--json", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for expected in ("4.19 ±0.02", "0.806", "the exit rule explains it", "not reproduced here"):
        assert expected in done.output
    with Image.open(png) as picture:
        assert picture.width > 1000
    result = json.loads(out.read_text())
    assert result["mean_ratio"] == pytest.approx(0.806, abs=0.0005)
    assert [piece["network"] for piece in result["pieces"]] == [name for name in MACS if name.startswith("mobilenet")]
    shares = [sum(point["exit_distribution"]) for piece in result["pieces"] for point in piece["points"]]
    assert shares == pytest.approx([1] * 39)


def test_the_command_says_what_is_no_result(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(DataError, match="not a benchmark result"):
        CliRunner().invoke(paper, [str(tmp_path / "result.json")], catch_exceptions=False)
