from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from gfnet_benchmark.measure.timing import MOST_WARMUP_ROUNDS, Stopwatch, TimedCall, interleave


def ticking(*durations):
    """A clock under which the n-th measured call takes the n-th duration."""
    readings = itertools.chain.from_iterable((100.0 * i, 100.0 * i + d) for i, d in enumerate(durations))
    return lambda: next(readings)


def test_a_stopwatch_keeps_samples_by_name_and_returns_the_result():
    watch = Stopwatch(ticking(1.0, 2.0, 4.0))
    assert watch.time("a", lambda: "x") == "x"
    watch.time("b", lambda: None)
    watch.time("a", lambda: None)
    assert watch.samples == {"a": [1.0, 4.0], "b": [2.0]}
    watch.clear()
    assert not watch.samples


class Machine:
    """A clock that only the timed calls move."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def timed(self, name, seconds):
        def call(image):
            self.now += seconds(image) if callable(seconds) else seconds
            self.log.append((name, image))

        return TimedCall(name, call)

    def clock(self):
        return self.now


def test_every_call_is_timed_on_every_image_in_every_round():
    machine = Machine()
    calls = [machine.timed("a", lambda image: 1.0 + image), machine.timed("b", 0.5)]
    times = interleave(calls, 3, rounds=2, clock=machine.clock)
    assert times.seconds["a"] == pytest.approx(np.array([[1.0, 2.0, 3.0]] * 2))
    assert times.seconds["b"].tolist() == [[0.5] * 3] * 2
    assert times.steady
    assert times.warmup_rounds == 3  # one, and two that are no faster


def test_an_image_goes_through_everything_before_the_next_one_does():
    machine = Machine()
    interleave([machine.timed(name, 1.0) for name in "abcd"], 5, rounds=3, clock=machine.clock)
    groups = [machine.log[i : i + 4] for i in range(0, len(machine.log), 4)]
    assert all(len({image for _, image in group}) == 1 for group in groups)
    assert all(sorted(name for name, _ in group) == list("abcd") for group in groups)
    # No call always runs behind the same other.
    before = Counter((one[0], other[0]) for group in groups for one, other in itertools.pairwise(group))
    assert len(before) == 12


def test_warming_up_goes_on_while_times_fall_and_is_not_counted():
    machine, called, begun = Machine(), [], []

    def cooling(image):
        called.append(image)
        return max(1.0, 10.0 - len(called) // 2)

    times = interleave(
        [machine.timed("a", cooling)], 2, rounds=1, clock=machine.clock, begin=lambda: begun.append(len(called))
    )
    assert times.seconds["a"].tolist() == [[1.0, 1.0]]
    assert times.steady
    assert times.warmup_rounds > 9
    assert begun == [2 * times.warmup_rounds]


def test_what_never_becomes_steady_is_said_to_be_so():
    machine = Machine()
    left = iter(range(10_000, 0, -1))
    times = interleave([machine.timed("a", lambda _: 0.9 ** (10_000 - next(left)))], 1, rounds=1, clock=machine.clock)
    assert not times.steady
    assert times.warmup_rounds == MOST_WARMUP_ROUNDS
