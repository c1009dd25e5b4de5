"""What a network takes where it is as accurate as a classifier: the papers' comparison, on the images of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gfnet.results.schema import Match
from gfnet_benchmark.measure.statistics import RESAMPLES


@dataclass(frozen=True, eq=False)
class Ways:
    """Every way to run one subject: a network's sets of thresholds; a classifier's are all the same.

    Attributes:
        seconds: what each image typically takes, float64 [ways,N].
        right: whether it is answered rightly, bool [ways,N].
    """

    seconds: np.ndarray
    right: np.ndarray


def matches(
    network: Ways, classifiers: Mapping[str, Ways], *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Match, ...]:
    """A network against each classifier, at that one's accuracy.

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
        cost: float64 [ways].
        accuracy: float64 [ways].
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
