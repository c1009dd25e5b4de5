from __future__ import annotations

import itertools

import numpy as np
import pytest

from gfnet_benchmark.measure.timing import Stopwatch, median_ratio, summarise


def ticking(*durations):
    """A clock under which the n-th measured call takes the n-th duration."""
    readings = itertools.chain.from_iterable((100.0 * i, 100.0 * i + d) for i, d in enumerate(durations))
    return lambda: next(readings)


def test_percentiles_are_in_milliseconds():
    timing = summarise([0.001 * i for i in range(1, 101)])
    assert timing.count == 100
    assert timing.mean_ms == pytest.approx(50.5)
    assert timing.median_ms == pytest.approx(50.5)
    assert timing.p90_ms == pytest.approx(90.1)
    assert timing.p99_ms == pytest.approx(99.01)


def test_a_stopwatch_keeps_samples_by_name_and_returns_the_result():
    watch = Stopwatch(ticking(1.0, 2.0, 4.0))
    assert watch.time("a", lambda: "x") == "x"
    watch.time("b", lambda: None)
    watch.time("a", lambda: None)
    assert watch.samples == {"a": [1.0, 4.0], "b": [2.0]}
    watch.clear()
    assert not watch.samples


def test_ratios_compare_within_a_round():
    # A machine that slows down tenfold half-way changes both alike.
    ours, baseline = np.array([1.0, 1.0, 10.0, 10.0, 10.0]), np.array([2.0, 2.0, 20.0, 20.0, 20.0])
    assert median_ratio(ours, baseline) == 0.5
