"""Timing that a noisy machine cannot fool: warm-up, interleaved rounds, percentiles, ratios in each round."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from gfnet.results.schema import Timing

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds, monotonic; injected so that the harness itself can be tested."""


def summarise(seconds: Sequence[float] | np.ndarray, *, keep: bool = False) -> Timing:
    """At least one duration as a distribution in milliseconds.

    Args:
        keep: the single times too, to a tenth of a microsecond.
    """
    values = 1e3 * np.asarray(seconds, np.float64)
    median, p90, p99 = (float(v) for v in np.percentile(values, (50, 90, 99)))
    return Timing(
        count=len(values),
        mean_ms=float(values.mean()),
        median_ms=median,
        p90_ms=p90,
        p99_ms=p99,
        samples_ms=tuple(values.round(4).tolist()) if keep else (),
    )


class Stopwatch:
    """Collects samples by name."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.clock = clock
        self.samples: dict[str, list[float]] = {}

    def time(self, name: str, call: Callable[[], T]) -> T:
        """Run ``call`` and add its duration to ``name``'s samples."""
        start = self.clock()
        result = call()
        self.samples.setdefault(name, []).append(self.clock() - start)
        return result

    def clear(self) -> None:
        """Forget everything, after a warm-up."""
        self.samples.clear()


def median_ratio(numerator: Sequence[float] | np.ndarray, denominator: Sequence[float] | np.ndarray) -> float:
    """Median over rounds of one's time over the other's in the same round."""
    return float(np.median(np.asarray(numerator) / np.asarray(denominator)))
