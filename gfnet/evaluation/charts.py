"""Charts of an evaluation as PNG; needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from gfnet.drawing import step_colour
from gfnet.evaluation.report import EvaluationReport
from gfnet.files import atomic_file

_INK, _GRID, _QUIET = "#101010", "#c0c0c1", "#808081"
_COLOURS = {"geometric": "#3b82f6", "saved": "#3b82f6", "optimal": "#d97706"}
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}
_DPI = 144


def write_png(path: Path, draw: Callable[[EvaluationReport], Figure], report: EvaluationReport) -> None:
    """Draw a chart into ``path``, whole or not at all; the same report is the same file.

    Raises:
        GFNetError: the place is not writable or the disk is full.
    """
    with mpl.rc_context(_STYLE), atomic_file(path) as temporary:
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
            color=_COLOURS.get(solver, _INK),
            linewidth=2.0,
            marker="o",
            markersize=3,
            label=f"{solver} thresholds, one point a budget",
        )
    axes.plot(
        list(report.step_ms or [macs / 1e6 for macs in report.macs]),
        [step.top1 for step in report.steps],
        color=_QUIET,
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
    axes.plot([0, 100], [0, 100], color=_QUIET, linewidth=1, linestyle="--")
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
