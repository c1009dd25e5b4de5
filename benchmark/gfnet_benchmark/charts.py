"""Charts as SVG text, in colours that follow the page's light or dark scheme."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from gfnet.chart_style import ACCENT, GRID, INK, QUIET, STYLE
from gfnet.drawing import step_colour
from gfnet.measurement import Result
from gfnet.results import BudgetPoint, Evaluation

_VARIABLES = {INK: "var(--ink)", GRID: "var(--line)", QUIET: "var(--faint)"}
_STYLE: Any = {
    **STYLE,
    "svg.fonttype": "none",  # text stays text: searchable, and in the page's own font
    "svg.hashsalt": "gfnet",  # the same chart is the same file
}


def accuracy_against_cost(
    evaluation: Evaluation, chosen: BudgetPoint, baseline_top1: float, baseline_macs: float
) -> Markup:
    """Top-1 over average multiply-adds: all budgets, the anytime points, and the full-image baseline."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(7.2, 4.2)
        points = sorted(evaluation.budgeted, key=lambda point: point.mean_macs)
        axes.plot(
            [point.mean_macs / 1e6 for point in points],
            [point.top1 for point in points],
            color=ACCENT,
            linewidth=2.4,
            label="GFNet, one point a budget",
            marker="o",
            markersize=3,
        )
        axes.plot(
            [macs / 1e6 for macs in evaluation.macs],
            evaluation.anytime_top1,
            color=QUIET,
            linestyle="--",
            marker="s",
            markersize=6,
            label="all images stop after step 1, 2, …",
        )
        axes.plot(
            [chosen.mean_macs / 1e6],
            [chosen.top1],
            marker="o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=ACCENT,
            markeredgewidth=2,
            linestyle="none",
            label="measured below",
        )
        axes.plot(
            [baseline_macs / 1e6],
            [baseline_top1],
            marker="*",
            markersize=13,
            color=step_colour(2),
            linestyle="none",
            label="same backbone, full image",
        )
        axes.set_xlabel("multiply-adds per image, average (millions)")
        axes.set_ylabel("top-1 accuracy (%)")
        axes.set_xlim(left=0)
        axes.legend(loc="lower right")
        return _svg(figure)


def latency_by_step(result: Result) -> Markup:
    """Median latency of every subgraph, the adaptive loop's mean, and the baseline; whiskers reach p90."""
    rows: list[tuple[str, float, float, str]] = []
    for graph in result.subgraphs:
        colour = QUIET if graph.role == "policy" else step_colour(1 if graph.role == "glance" else 2)
        rows.append((graph.name, graph.steady.median_ms, graph.steady.p90_ms, colour))
    loop = result.loop.latency
    rows.append(("adaptive loop (mean)", loop.mean_ms, max(loop.p90_ms, loop.mean_ms), ACCENT))
    if result.baseline is not None:
        steady = result.baseline.steady
        rows.append(("baseline, full image", steady.median_ms, steady.p90_ms, INK))
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(7.2, 0.5 * len(rows) + 0.9)
        for position, (_, value, p90, colour) in enumerate(rows):
            axes.barh(position, value, color=colour, height=0.62)
            axes.plot([value, p90], [position, position], color=INK, linewidth=1)
            axes.annotate(f"{value:.2f}", (p90, position), xytext=(6, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("milliseconds")
        axes.margins(x=0.12)
        return _svg(figure)


def exit_distribution(evaluation: Evaluation) -> Markup:
    """Which share of the images stops at which step, over the average cost."""
    points = sorted(
        (point for point in evaluation.budgeted if point.exit_distribution), key=lambda point: point.mean_macs
    )
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(7.2, 3.2)
        costs = [point.mean_macs / 1e6 for point in points]
        shares = [[100 * point.exit_distribution[i] for point in points] for i in range(len(evaluation.macs))]
        steps = range(1, len(shares) + 1)
        axes.stackplot(
            costs, shares, colors=[step_colour(i) for i in steps], labels=[f"step {i}" for i in steps], alpha=0.85
        )
        axes.set_xlabel("multiply-adds per image, average (millions)")
        axes.set_ylabel("images that stop (%)")
        axes.set_ylim(0, 100)
        axes.margins(x=0)
        axes.legend(loc="upper center", ncols=len(shares), bbox_to_anchor=(0.5, 1.17))
        return _svg(figure)


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Figure) -> Markup:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return Markup(text)
