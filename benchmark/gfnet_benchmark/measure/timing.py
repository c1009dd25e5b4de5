"""Timing that a noisy machine cannot fool: a stopwatch, warm-up, and interleaved rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gfnet.console.progress import Progress

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds, monotonic; injected so that the timing itself can be tested."""

WARMUP_IMAGES = 8
MOST_WARMUP_ROUNDS = 20
STILL_FALLING = 0.02
"""A warm-up round that is faster than all before by this share shows that it is not steady yet."""


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


@dataclass(frozen=True)
class TimedCall:
    """One thing to be timed.

    Attributes:
        name: unique in the run.
        call: does it once for the image of that index.
    """

    name: str
    call: Callable[[int], object]


@dataclass(frozen=True)
class Times:
    """What an interleaved run took.

    Attributes:
        seconds: float64 [rounds,images] by the call's name.
        warmup_rounds: over a few images, before that.
        steady: whether the warm-up ended because times no longer fell.
    """

    seconds: dict[str, np.ndarray]
    warmup_rounds: int
    steady: bool


def interleave(
    calls: Sequence[TimedCall],
    images: int,
    *,
    rounds: int,
    clock: Clock,
    seed: int = 0,
    begin: Callable[[], None] = lambda: None,
    title: str = "bench",
) -> Times:
    """Time every call on every image in every round.

    A round takes the images in turn; for each of them all calls run one after another, in an order drawn anew, so
    that none always finds the caches as the same other call left them.  Warm-up rounds over a few images come first,
    until two in a row are no faster than those before.

    Args:
        images: their number.
        rounds: measured ones.
        clock: seconds.
        begin: called between warm-up and measuring.
    """
    order = np.random.default_rng(seed)

    def run(image: int) -> dict[str, float]:
        taken = {}
        for index in order.permutation(len(calls)):
            timed = calls[index]
            start = clock()
            timed.call(image)
            taken[timed.name] = clock() - start
        return taken

    some = range(min(images, WARMUP_IMAGES))
    totals: list[float] = []
    while not _steady(totals) and len(totals) < MOST_WARMUP_ROUNDS:
        totals.append(sum(sum(run(image).values()) for image in some))
    begin()
    seconds = {timed.name: np.zeros((rounds, images)) for timed in calls}
    with Progress(title, rounds * images, "images") as progress:
        for round_index in range(rounds):
            for image in range(images):
                for name, value in run(image).items():
                    seconds[name][round_index, image] = value
                progress.advance()
    return Times(seconds, len(totals), _steady(totals))


def _steady(totals: Sequence[float]) -> bool:
    """Whether neither of the last two is much faster than all before it."""
    if len(totals) < 3:
        return False
    return all(totals[i] >= (1 - STILL_FALLING) * min(totals[:i]) for i in (-2, -1))
