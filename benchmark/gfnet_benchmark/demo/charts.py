"""The demo's charts of a trained network, as SVG."""

from __future__ import annotations

from markupsafe import Markup

from gfnet.inference.budgets import BudgetPoint, Evaluation
from gfnet.pictures.chart_style import ACCENT, QUIET
from gfnet.pictures.drawing import step_colour
from gfnet.pictures.svg import drawing, to_svg


def accuracy_against_cost(
    evaluation: Evaluation, chosen: BudgetPoint, baseline_top1: float, baseline_macs: float
) -> Markup:
    """Top-1 over average multiply-adds: all budgets, the anytime points, and the full-image baseline."""
    with drawing(7.2, 4.2) as (figure, axes):
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
        return to_svg(figure, "curve")


def exit_distribution(evaluation: Evaluation) -> Markup:
    """Which share of the images stops at which step, over the average cost."""
    points = sorted(
        (point for point in evaluation.budgeted if point.exit_distribution), key=lambda point: point.mean_macs
    )
    with drawing(7.2, 3.2) as (figure, axes):
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
        return to_svg(figure, "exits")
