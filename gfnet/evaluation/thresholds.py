"""Thresholds for every budget, and what a network achieves under them, from its predictions alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gfnet.evaluation.optimal import optimal_thresholds
from gfnet.evaluation.predictions import Predictions
from gfnet.inference.budgets import Evaluation
from gfnet.inference.exits import exit_steps, mean_cost, measure_thresholds, search_thresholds

BUDGETS = 39
"""Number of exit distributions that are searched: q = 0.05, 0.10 .. 1.95 (official ``inference.py``)."""


def anytime_top1(predictions: Predictions) -> tuple[float, ...]:
    """Accuracy in percent after each step."""
    return tuple(int(row.sum()) * 100.0 / row.size for row in predictions.correct)


def exit_quotas(steps: int, budgets: int = BUDGETS) -> np.ndarray:
    """Share of the images that each step may exit, float32 [budgets, steps]; rows sum to 1."""
    # torch's float32 exp and log, because the official quotas are floored after rounding to float32:
    # numpy's differ in the last bit often enough to let one image more or less go.
    log_quotient = torch.log(torch.arange(1, budgets + 1, dtype=torch.float32) / 20)
    shares = torch.exp(log_quotient[:, None] * torch.arange(1, steps + 1, dtype=torch.float32))
    return (shares / shares.sum(1, keepdim=True)).numpy()


def find_thresholds(predictions: Predictions, macs: Sequence[float]) -> tuple[np.ndarray, tuple[float, ...]]:
    """Thresholds for all budgets, float32 [K,T], and the average multiply-adds each costs on this split."""
    thresholds = search_thresholds(predictions.confidence, exit_quotas(len(macs)))
    return thresholds, _mean_costs(predictions, thresholds, macs)


def find_optimal_thresholds(
    predictions: Predictions, macs: Sequence[float], step_ms: Sequence[float] | None = None
) -> tuple[np.ndarray, tuple[float, ...]]:
    """The most accurate thresholds found that cost no more than the geometric ones, and what they cost here.

    Args:
        step_ms: cumulative milliseconds of the steps; the budgets are then times, the geometric rule's.

    Returns:
        float32 [K,T], and the average multiply-adds of each on this split.
    """
    geometric, _ = find_thresholds(predictions, macs)
    cost = np.asarray(macs if step_ms is None else step_ms, np.float64)
    budgets = [float(cost[exit_steps(predictions.confidence, row)].mean()) for row in geometric]
    thresholds = optimal_thresholds(predictions.confidence, predictions.correct, cost.tolist(), budgets, geometric)
    return thresholds, _mean_costs(predictions, thresholds, macs)


def _mean_costs(predictions: Predictions, thresholds: np.ndarray, macs: Sequence[float]) -> tuple[float, ...]:
    exits = (exit_steps(predictions.confidence, row) for row in thresholds)
    return tuple(mean_cost(np.bincount(steps, minlength=len(macs)), macs) for steps in exits)


def evaluate(
    predictions: Predictions,
    macs: Sequence[float],
    thresholds: np.ndarray,
    budgets: Sequence[float],
) -> Evaluation:
    """Accuracy and cost of ``predictions`` at every step and under every set of thresholds."""
    points = measure_thresholds(predictions.confidence, predictions.correct, thresholds, macs, budgets)
    return Evaluation(
        images=len(predictions.labels),
        macs=tuple(float(v) for v in macs),
        anytime_top1=anytime_top1(predictions),
        budgeted=points,
    )
