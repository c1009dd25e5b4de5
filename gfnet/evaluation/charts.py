"""Charts of an evaluation as PNG; needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from gfnet.evaluation.report import EvaluationReport
from gfnet.files.writing import atomic_file
from gfnet.pictures.chart_style import ACCENT, INK, QUIET, STYLE
from gfnet.pictures.drawing import step_colour

_COLOURS = {"geometric": ACCENT, "saved": ACCENT, "optimal": "#d97706"}
_DPI = 144


def write_png(path: Path, draw: Callable[[EvaluationReport], Figure], report: EvaluationReport) -> None:
    """Draw a chart into ``path``, whole or not at all; the same report is the same file.

    Raises:
        GFNetError: the place is not writable or the disk is full.
    """
    with mpl.rc_context(STYLE), atomic_file(path) as temporary:
        draw(report).savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})


def accuracy_against_cost(report: EvaluationReport) -> Figure:
    """Top-1 over average cost: every solver's budgets and the anytime points; milliseconds where measured."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    timed = report.step_ms is not None
    for solver, curve in report.curves.items():
        costs = curve.mean_ms or [point.mean_macs / 1e6 for point in curve.points]
        points = sorted((cost, point.top1 or 0.0) for cost, point in zip(costs, curve.points, strict=True))
        axes.plot(
            [cost for cost, _ in points],
            [top1 for _, top1 in points],
            color=_COLOURS.get(solver, INK),
            linewidth=2.0,
            marker="o",
            markersize=3,
            label=f"{solver} thresholds, one point a budget",
        )
    axes.plot(
        list(report.step_ms or [macs / 1e6 for macs in report.macs]),
        [step.top1 for step in report.steps],
        color=QUIET,
        linestyle="--",
        marker="s",
        markersize=6,
        label="all images stop after step 1, 2, …",
    )
    axes.set_xlabel("milliseconds per image, average" if timed else "multiply-adds per image, average (millions)")
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_xlim(left=0)
    axes.legend(loc="lower right")
    return figure


def reliability(report: EvaluationReport) -> Figure:
    """Accuracy over confidence of every step, beside the diagonal where they agree."""
    figure = Figure(figsize=(5.2, 5.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color=QUIET, linewidth=1, linestyle="--")
    for index, step in enumerate(report.steps, start=1):
        filled = [(part.confidence or 0.0, part.top1 or 0.0) for part in step.bins if part.images]
        axes.plot(
            [confidence for confidence, _ in filled],
            [top1 for _, top1 in filled],
            color=step_colour(index),
            linewidth=2.0,
            marker="o",
            markersize=4,
            label=f"step {index}, error {step.calibration_error:.1f} %",
        )
    axes.set_xlabel("confidence (%)")
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")
    axes.legend(loc="best")
    return figure
