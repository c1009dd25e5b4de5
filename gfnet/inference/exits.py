"""When to stop: exit rules, and the search for thresholds that meet a budget.

The papers' rule (NeurIPS 2020, section 3.3; official ``dynamic_find_threshold`` and
``dynamic_evaluate``): a step may exit a fixed share of the images, shares fall geometrically over the
steps, and a step's threshold is the confidence of the last image that its share lets go.  Labels are
never looked at.  Everything is float32, as in the official code, down to the rounding of the quotas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gfnet.errors import BudgetError
from gfnet.inference.budgets import BudgetPoint

NEVER = 1e8
"""Threshold of a step at which no image exits."""
ALWAYS = -1e8
"""Threshold of the last step, at which everybody exits."""


def search_thresholds(confidence: np.ndarray, quotas: np.ndarray) -> np.ndarray:
    """Thresholds under which each step exits its quota of the images.

    Args:
        confidence: float32 [T, n], every image's confidence at every step.
        quotas: float32 [budgets, T], from :func:`gfnet.evaluation.exit_quotas`.

    Returns:
        float32 [budgets, T].  Images whose confidence ties with a threshold all exit, so a step may let
        go more than its quota; a step whose quota is zero, or more than are left, exits no image.
    """
    confidence = np.ascontiguousarray(confidence, np.float32)
    steps, images = confidence.shape
    # The official code multiplies in float32 before it floors; 200,000 x 0.9001 can be one image less.
    counts = np.floor(np.float32(images) * quotas).astype(np.int64)  # [budgets,T]
    thresholds = np.full((len(quotas), steps), NEVER, np.float32)
    thresholds[:, -1] = ALWAYS
    for row, row_counts in zip(thresholds, counts, strict=True):
        remaining = confidence
        for step in range(steps - 1):
            count, left = row_counts[step], remaining.shape[1]
            if not 0 < count <= left:
                continue
            at_step = remaining[step]
            row[step] = np.partition(at_step, left - count)[left - count]  # the count-th largest
            remaining = remaining[:, at_step < row[step]]
    return thresholds


def exit_steps(confidence: np.ndarray, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Index (0 .. T-1) of the first step whose confidence reaches its threshold, int64 [n].

    Args:
        confidence: float32 [T, n].
        thresholds: T values; the last step stops all images that are left, whatever its value.
    """
    reached = confidence >= np.asarray(thresholds, np.float32)[:, None]
    reached[-1] = True
    steps: np.ndarray = reached.argmax(axis=0)
    return steps


def measure_thresholds(
    confidence: np.ndarray,
    correct: np.ndarray,
    thresholds: np.ndarray,
    macs: Sequence[float],
    budgets: Sequence[float],
) -> tuple[BudgetPoint, ...]:
    """What every set of thresholds gives on these images.

    Args:
        confidence: float32 [T, n].
        correct: bool [T, n], whether each step's answer is right.
        thresholds: float32 [K, T].
        macs: T cumulative multiply-adds.
        budgets: K average multiply-adds on the split that the thresholds were found on.
    """
    points = []
    for row, budget in zip(thresholds, budgets, strict=True):
        exits = exit_steps(confidence, row)
        counts = np.bincount(exits, minlength=len(macs))
        right = np.take_along_axis(correct, exits[None], axis=0)[0]
        points.append(
            BudgetPoint(
                budget=float(budget),
                thresholds=tuple(float(v) for v in row),
                top1=int(right.sum()) * 100.0 / right.size,  # in this order: the official rounding
                mean_macs=mean_cost(counts, macs),
                exit_distribution=tuple(float(v) for v in counts / counts.sum()),
            )
        )
    return tuple(points)


def mean_cost(exit_counts: np.ndarray, cumulative_cost: Sequence[float]) -> float:
    """Average cost of an image, summed in float32 like the official expected flops."""
    shares = (exit_counts.astype(np.float64) / exit_counts.sum()).astype(np.float32)
    total = np.float32(0)
    for share, cost in zip(shares, cumulative_cost, strict=True):
        total = np.float32(total + share * np.float32(cost))
    return float(total)


def choose_point(points: Sequence[BudgetPoint], budget: float) -> BudgetPoint:
    """The dearest point that costs at most ``budget`` multiply-adds on average.

    Raises:
        BudgetError: there are no points, or ``budget`` is below the cheapest or above any possible cost.
    """
    if not points:
        raise BudgetError(
            "no thresholds are stored with this network; run `gfnet evaluate` on it with `--save`, "
            "or pass --thresholds or --all-steps"
        )
    cheapest = min(point.budget for point in points)
    dearest = max(point.budget for point in points)
    if not cheapest <= budget <= dearest * 1.0001:
        raise BudgetError(
            f"budget {budget / 1e6:.4g}M is out of range: this network can spend from {cheapest / 1e6:.4g}M to "
            f"{dearest / 1e6:.4g}M multiply-adds per image; --all-steps spends all"
        )
    return max((p for p in points if p.budget <= budget), key=lambda p: p.budget)


def default_point(points: Sequence[BudgetPoint]) -> BudgetPoint:
    """The most accurate of some points, the cheapest of those that tie; without accuracies the dearest."""
    return max(points, key=lambda p: (0.0, p.budget) if p.top1 is None else (p.top1, -p.budget))


def check_thresholds(thresholds: Sequence[float], steps: int) -> tuple[float, ...]:
    """Thresholds as given by a person: one per step, or one per step but the last.

    Raises:
        BudgetError: a wrong number of them, or a value that is negative or not a number.
    """
    if len(thresholds) not in (steps - 1, steps):
        raise BudgetError(
            f"{len(thresholds)} thresholds given for a network of {steps} steps; give {steps - 1} or {steps}"
        )
    for value in thresholds[: steps - 1]:
        if not 0 <= value < math.inf:
            raise BudgetError(f"threshold {value} is not a confidence; use 0 (always exit) or more, above 1 for never")
    return (*thresholds[: steps - 1], ALWAYS)


def resolve_thresholds(
    points: Sequence[BudgetPoint],
    steps: int,
    *,
    all_steps: bool = False,
    thresholds: str | None = None,
    budget: str | None = None,
) -> tuple[float, ...] | None:
    """The T thresholds that a command's options ask for; ``None`` runs all steps.

    Args:
        points: what is stored with the network; without other options its most accurate point is taken.
        thresholds: comma-separated numbers.
        budget: average multiply-adds per image, with an optional K, M or G behind the number.

    Raises:
        BudgetError: options exclude one another, are not numbers, or cannot be met.
    """
    if all_steps + (thresholds is not None) + (budget is not None) > 1:
        raise BudgetError("--all-steps, --thresholds and --budget exclude one another; give one")
    if all_steps:
        return None
    if thresholds is not None:
        try:
            values = [float(part) for part in thresholds.split(",")]
        except ValueError:
            raise BudgetError(f"--thresholds {thresholds!r}: give comma-separated numbers, e.g. 0.8,0.7") from None
        return check_thresholds(values, steps)
    if budget is not None:
        return choose_point(points, parse_budget(budget)).thresholds
    return default_point(points).thresholds if points else None


_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9}


def parse_budget(text: str) -> float:
    """Multiply-adds as given by a person, with an optional K, M or G behind the number.

    Raises:
        BudgetError: it is not a number.
    """
    factor = _UNITS.get(text[-1:].upper())
    try:
        return float(text[:-1]) * factor if factor else float(text)
    except ValueError:
        raise BudgetError(f"--budget {text!r}: give multiply-adds, e.g. 60M") from None
