"""Everything that an evaluation says about a network, from its predictions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gfnet.evaluation.metrics import (
    Confusion,
    ReliabilityBin,
    calibration_error,
    class_top1,
    confusions,
    percent_true,
    reliability_bins,
)
from gfnet.evaluation.predictions import Predictions
from gfnet.inference.budgets import BudgetPoint, Evaluation
from gfnet.inference.exits import exit_steps


@dataclass(frozen=True)
class StepReport:
    """All images, if they stopped at one step; percent.

    Attributes:
        top1: accuracy.
        top5: how often the truth is among the five likeliest classes, or all if there are fewer.
        calibration_error: expected gap of confidence and accuracy.
        bins: that gap by confidence.
    """

    top1: float
    top5: float
    calibration_error: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class ExitReport:
    """The images that stop at one step under the chosen thresholds.

    Attributes:
        images: how many.
        top1: their accuracy in percent, ``None`` without images.
    """

    images: int
    top1: float | None


@dataclass(frozen=True)
class ClassReport:
    """The images of one class.

    Attributes:
        label: name of the class, or its index where it is unknown.
        images: how many.
        top1: accuracy in percent under the chosen thresholds, ``None`` without images.
        last_top1: the same, if all images took every step.
    """

    label: str
    images: int
    top1: float | None
    last_top1: float | None


@dataclass(frozen=True)
class Curve:
    """Accuracy against cost under one solver's thresholds.

    Attributes:
        points: one a budget.
        top5: in percent, one a budget.
        mean_ms: average milliseconds of the steps that images take, one a budget; ``None`` without latencies.
    """

    points: tuple[BudgetPoint, ...]
    top5: tuple[float, ...]
    mean_ms: tuple[float, ...] | None


@dataclass(frozen=True)
class EvaluationReport:
    """What ``gfnet evaluate`` tells.

    Attributes:
        images: number of images evaluated.
        macs: cumulative multiply-adds of sequences of 1 .. T steps.
        step_ms: cumulative milliseconds of them, ``None`` where they were not measured.
        search: which images the thresholds were found on, in words.
        steps: one a step.
        curves: by solver, the one that was asked for first.
        chosen: the set of thresholds that exits, classes and confusions are reported for.
        exits: one a step.
        classes: one a class.
        confusions: the wrong answers by pair of classes, the most frequent first.
    """

    images: int
    macs: tuple[float, ...]
    step_ms: tuple[float, ...] | None
    search: str
    steps: tuple[StepReport, ...]
    curves: dict[str, Curve]
    chosen: BudgetPoint
    exits: tuple[ExitReport, ...]
    classes: tuple[ClassReport, ...]
    confusions: tuple[Confusion, ...]


def report_evaluation(
    predictions: Predictions,
    evaluations: Mapping[str, Evaluation],
    chosen: BudgetPoint,
    labels: Sequence[str],
    *,
    search: str,
    step_ms: Sequence[float] | None = None,
) -> EvaluationReport:
    """Report on ``predictions``.

    Args:
        evaluations: of the same predictions, by solver.
        chosen: one of their points.
        labels: names of all classes.
        search: which images the thresholds were found on.
        step_ms: cumulative milliseconds of sequences of 1 .. T steps.
    """
    correct, truth = predictions.correct, predictions.labels
    exits = exit_steps(predictions.confidence, chosen.thresholds)
    answered = predictions.answers(exits)
    right = answered.correct[0]
    by_class = zip(
        labels,
        np.bincount(truth, minlength=len(labels)).tolist(),
        class_top1(right, truth, len(labels)),
        class_top1(correct[-1], truth, len(labels)),
        strict=True,
    )
    return EvaluationReport(
        images=len(truth),
        macs=next(iter(evaluations.values())).macs,
        step_ms=None if step_ms is None else tuple(step_ms),
        search=search,
        steps=tuple(
            _report_step(*rows) for rows in zip(predictions.confidence, correct, predictions.in_top5, strict=True)
        ),
        curves={solver: _curve(predictions, evaluation, step_ms) for solver, evaluation in evaluations.items()},
        chosen=chosen,
        exits=tuple(
            ExitReport(int((exits == step).sum()), percent_true(right[exits == step])) for step in range(len(correct))
        ),
        classes=tuple(ClassReport(*values) for values in by_class),
        confusions=confusions(answered.predicted[0], truth),
    )


def _report_step(confidence: np.ndarray, correct: np.ndarray, in_top5: np.ndarray) -> StepReport:
    bins = reliability_bins(confidence, correct)
    return StepReport(percent_true(correct) or 0.0, percent_true(in_top5) or 0.0, calibration_error(bins), bins)


def _curve(predictions: Predictions, evaluation: Evaluation, step_ms: Sequence[float] | None) -> Curve:
    points = evaluation.budgeted
    exits = (exit_steps(predictions.confidence, point.thresholds) for point in points)
    return Curve(
        points=points,
        top5=tuple(percent_true(predictions.answers(steps).in_top5[0]) or 0.0 for steps in exits),
        mean_ms=None if step_ms is None else tuple(float(np.dot(point.exit_distribution, step_ms)) for point in points),
    )
