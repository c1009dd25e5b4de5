"""What is said of measured times: percentiles, typical values, ratios, and costs at equal accuracy, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gfnet.results.schema import Match, Ratio, Timing

RESAMPLES = 1000


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


def typical(seconds: np.ndarray) -> float:
    """Mean over the images of each one's median over the rounds: what a quiet machine would take on average.

    Args:
        seconds: [rounds,images].
    """
    return float(np.median(seconds, axis=0).mean())


def ratio(
    ours: np.ndarray,
    reference: np.ndarray,
    process: np.ndarray | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ratio:
    """One's typical time over another's, with the interval that holds 95 % of the ratios of resampled runs.

    Processes, their rounds, and images are drawn with replacement, the same ones for both: what was measured side by
    side stays together, and what moves both alike moves no ratio.  Of few processes it is a little narrow: with five it
    holds the true ratio in nine runs of ten.

    Args:
        ours: [rounds,images].
        reference: likewise.
        process: the number of the process that each round ran in, int [rounds]; ``None``: all in one.
    """
    random = np.random.default_rng(seed)
    rounds, images = ours.shape
    process = np.zeros(rounds, int) if process is None else process
    of_process = [np.flatnonzero(process == number) for number in np.unique(process)]
    found = np.empty(resamples)
    for i in range(resamples):
        drawn = [of_process[number] for number in random.integers(0, len(of_process), len(of_process))]
        rows = np.concatenate([random.choice(some, len(some)) for some in drawn])
        columns = random.integers(0, images, images)
        picked = np.ix_(rows, columns)
        found[i] = typical(ours[picked]) / typical(reference[picked])
    low, high = np.percentile(found, (2.5, 97.5))
    return Ratio(value=typical(ours) / typical(reference), low=float(low), high=float(high))


def median_ratio(numerator: Sequence[float] | np.ndarray, denominator: Sequence[float] | np.ndarray) -> float:
    """Median over rounds of one's time over the other's in the same round."""
    return float(np.median(np.asarray(numerator) / np.asarray(denominator)))


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """The ways to run one subject: a network's sets of thresholds; a classifier has one.

    Attributes:
        seconds: what each image typically takes, float64 [points,N].
        right: whether it is answered rightly, bool [points,N].
    """

    seconds: np.ndarray
    right: np.ndarray


def match_accuracies(
    network: OperatingPoints, classifiers: Mapping[str, OperatingPoints], *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Match, ...]:
    """What a network takes where it is as accurate as each classifier: the papers' comparison, on one run's images.

    Intervals hold 95 % of what resampled images give, the same ones for both sides; the latencies of single images are
    taken as measured.

    Args:
        classifiers: by name, on the same images.
    """
    images = network.right.shape[1]
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), resamples)
    counts = np.concatenate([np.ones((1, images)), drawn]) / images  # the images themselves, then the resamples
    costs, accuracies = counts @ network.seconds.T, counts @ network.right.T
    found = []
    for name, classifier in classifiers.items():
        cost, accuracy = counts @ classifier.seconds[0], counts @ classifier.right[0]
        reached = np.array([latency_at(*row) for row in zip(costs, accuracies, accuracy, strict=True)])
        ratios = reached / cost
        low, high = np.percentile(ratios[1:], (2.5, 97.5), method="nearest")
        found.append(
            Match(
                classifier=name,
                top1=100 * float(accuracy[0]),
                typical_ms=_finite(1e3 * reached[0]),
                ratio=_finite(ratios[0]),
                low=_finite(low),
                high=_finite(high),
            )
        )
    return tuple(found)


def latency_at(cost: np.ndarray, accuracy: np.ndarray, target: float) -> float:
    """The least cost of an accuracy, on the line through the points that no cheaper one matches; infinite beyond it.

    Args:
        cost: float64 [points].
        accuracy: float64 [points].
    """
    order = np.lexsort((-accuracy, cost))
    cost, accuracy = cost[order], accuracy[order]
    better = np.concatenate([[True], accuracy[1:] > np.maximum.accumulate(accuracy)[:-1]])
    cost, accuracy = cost[better], accuracy[better]
    if target > accuracy[-1]:
        return np.inf
    return float(np.interp(target, accuracy, cost))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
