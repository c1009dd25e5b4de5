"""Many things timed in one run, in turn, so that a noisy machine hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gfnet.console.progress import Progress
from gfnet_benchmark.measure.timing import Clock

WARMUP_IMAGES = 8
MOST_WARMUP_ROUNDS = 20
STILL_FALLING = 0.02
"""A warm-up round that is faster than all before by this share shows that it is not steady yet."""


@dataclass(frozen=True)
class Probe:
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
        seconds: float64 [rounds,images] by the probe's name.
        warmup_rounds: over a few images, before that.
        steady: whether the warm-up ended because times no longer fell.
    """

    seconds: dict[str, np.ndarray]
    warmup_rounds: int
    steady: bool


def interleave(
    probes: Sequence[Probe],
    images: int,
    *,
    rounds: int,
    clock: Clock,
    seed: int = 0,
    begin: Callable[[], None] = lambda: None,
    title: str = "bench",
) -> Times:
    """Time every probe on every image in every round.

    A round takes the images in turn; for each of them all probes run one after another, in an order drawn anew, so
    that none always finds the caches as the same other left them.  Warm-up rounds over a few images come first, until
    two in a row are no faster than those before.

    Args:
        images: their number.
        rounds: measured ones.
        clock: seconds.
        begin: called between warm-up and measuring.
    """
    order = np.random.default_rng(seed)

    def run(image: int) -> dict[str, float]:
        taken = {}
        for index in order.permutation(len(probes)):
            probe = probes[index]
            start = clock()
            probe.call(image)
            taken[probe.name] = clock() - start
        return taken

    some = range(min(images, WARMUP_IMAGES))
    totals: list[float] = []
    while not _steady(totals) and len(totals) < MOST_WARMUP_ROUNDS:
        totals.append(sum(sum(run(image).values()) for image in some))
    begin()
    seconds = {probe.name: np.zeros((rounds, images)) for probe in probes}
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
