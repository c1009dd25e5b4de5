"""What answers are worth, from arrays of answers alone: accuracy by class, calibration, confusions.

Percent everywhere, 0 to 100, confidences included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CALIBRATION_BINS = 15
"""Equal-width bins of confidence (Guo et al., ICML 2017, section 2)."""


def percent_true(values: np.ndarray) -> float | None:
    """How many of a bool [n] are true, in percent; ``None`` of none at all."""
    return int(values.sum()) * 100.0 / values.size if values.size else None


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers of similar confidence.

    Attributes:
        lower: confidence in percent that the bin's answers exceed; the first bin holds 0 too.
        upper: confidence in percent that they reach at most.
        images: how many there are.
        confidence: their mean, in percent; ``None`` in an empty bin.
        top1: how many of them are right, in percent; ``None`` in an empty bin.
    """

    lower: float
    upper: float
    images: int
    confidence: float | None
    top1: float | None


def reliability_bins(
    confidence: np.ndarray, correct: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[ReliabilityBin, ...]:
    """Answers by confidence, in bins of equal width that are closed above.

    Args:
        confidence: float [n], in [0, 1].
        correct: bool [n].
    """
    edges = np.linspace(0, 1, bins + 1)
    # Float32, like the confidences: a confidence of exactly 0.2 belongs below the edge at 0.2.
    index = np.searchsorted(edges[1:-1].astype(np.float32), np.asarray(confidence, np.float32), side="left")
    images = np.bincount(index, minlength=bins)
    sums = np.bincount(index, np.asarray(confidence, np.float64), bins)
    right = np.bincount(index, np.asarray(correct, np.float64), bins)
    return tuple(
        ReliabilityBin(
            lower=100.0 * float(edges[i]),
            upper=100.0 * float(edges[i + 1]),
            images=int(images[i]),
            confidence=100.0 * float(sums[i]) / int(images[i]) if images[i] else None,
            top1=100.0 * float(right[i]) / int(images[i]) if images[i] else None,
        )
        for i in range(bins)
    )


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Expected calibration error in percent: the mean gap of confidence and accuracy, bins weighed by images."""
    images = sum(part.images for part in bins)
    gaps = (
        part.images * abs(part.confidence - part.top1)
        for part in bins
        if part.confidence is not None and part.top1 is not None
    )
    return sum(gaps) / images if images else 0.0


def isotonic_accuracy(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """How likely each answer is right by its confidence: the closest fit that never falls as confidence grows.

    Pool adjacent violators; equal confidences get equal values.

    Args:
        confidence: float [n].
        correct: bool [n].

    Returns:
        float64 [n], in [0, 1].
    """
    _, group, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    right = np.bincount(group, np.asarray(correct, np.float64))
    pools: list[list[float]] = []  # right answers, images, groups
    for pooled in zip(right.tolist(), counts.tolist(), strict=True):
        pools.append([*pooled, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    levels = np.repeat([pool[0] / pool[1] for pool in pools], [int(pool[2]) for pool in pools])
    return levels[group]


def class_top1(correct: np.ndarray, labels: np.ndarray, classes: int) -> tuple[float | None, ...]:
    """Accuracy in percent of the images of each class; ``None`` for a class without images.

    Args:
        correct: bool [n].
        labels: int64 [n], in 0 .. classes - 1.
    """
    images = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[correct], minlength=classes)
    return tuple(int(r) * 100.0 / int(n) if n else None for r, n in zip(right, images, strict=True))


@dataclass(frozen=True)
class Confusion:
    """How often images of one class were taken for another.

    Attributes:
        truth: index of the images' own class.
        answer: index of the class that was answered, never ``truth``.
        images: how many.
    """

    truth: int
    answer: int
    images: int


def confusions(predicted: np.ndarray, labels: np.ndarray) -> tuple[Confusion, ...]:
    """All wrong answers by pair of classes, the most frequent first, then by index.

    Takes memory for the pairs that occur, not for classes squared.

    Args:
        predicted: int [n].
        labels: int [n].
    """
    wrong = predicted != labels
    pairs, counts = np.unique(np.stack([labels[wrong], predicted[wrong]]), axis=1, return_counts=True)
    order = np.lexsort((pairs[1], pairs[0], -counts))
    return tuple(Confusion(int(pairs[0, i]), int(pairs[1, i]), int(counts[i])) for i in order)
