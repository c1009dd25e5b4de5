"""The demo's charts of a trained network, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from markupsafe import Markup

from gfnet.inference.budgets import BudgetPoint, Evaluation
from gfnet.pictures.chart_style import ACCENT, QUIET
from gfnet.pictures.drawing import step_colour
from gfnet.pictures.svg import drawing, to_svg
from gfnet.results.schema import Result

_WIDTH = 5.2  # inches: narrow, so that the letters can still be read on a phone
_BASELINE = "#e4572e"


class Sized(Protocol):
    """A whole-image classifier: its input's side in pixels, multiply-adds and accuracy in percent."""

    @property
    def size(self) -> int: ...
    @property
    def macs(self) -> float: ...
    @property
    def top1(self) -> float: ...


def accuracy_against_macs(evaluation: Evaluation, chosen: BudgetPoint, baselines: Sequence[Sized]) -> Markup:
    """Top-1 accuracy over average multiply-adds: the network at every budget, and the backbone on whole images."""
    with drawing(_WIDTH, 4.6) as (figure, axes):
        _draw_accuracy(
            axes,
            [(point.mean_macs / 1e6, point.top1) for point in evaluation.budgeted if point.top1 is not None],
            [(macs / 1e6, top1) for macs, top1 in zip(evaluation.macs, evaluation.anytime_top1, strict=True)],
            [(one.macs / 1e6, one.top1, one.size) for one in baselines],
            (chosen.mean_macs / 1e6, chosen.top1),
        )
        axes.set_xlabel("millions of multiply-adds per image, on average")
        return to_svg(figure, "curve")


def accuracy_against_time(result: Result, evaluation: Evaluation, chosen: BudgetPoint) -> Markup:
    """The same over the milliseconds that a benchmark measured; the accuracies stay those of the validation scenes."""
    network = result.networks[0]
    with drawing(_WIDTH, 4.6) as (figure, axes):
        budgets = [(point.modelled_ms, point.top1, point.thresholds) for point in network.curve]
        known = [(ms, top1, thresholds) for ms, top1, thresholds in budgets if ms is not None and top1 is not None]
        _draw_accuracy(
            axes,
            [(ms, top1) for ms, top1, _ in known],
            [(stop.typical_ms, top1) for stop, top1 in zip(network.stops, evaluation.anytime_top1, strict=True)],
            [(one.loop.typical_ms, one.stored_top1[-1], one.image_size) for one in result.classifiers],
            next(((ms, top1) for ms, top1, thresholds in known if thresholds == chosen.thresholds), None),
        )
        axes.set_xlabel("milliseconds per image, on average")
        return to_svg(figure, "time")


def _draw_accuracy(
    axes: Any,
    budgets: Sequence[tuple[float, float]],
    stops: Sequence[tuple[float, float]],
    baselines: Sequence[tuple[float, float, int]],
    chosen: tuple[float, float | None] | None,
) -> None:
    """Points are (cost, accuracy in percent); a baseline's third value is its input's side in pixels."""
    axes.plot(*zip(*sorted(budgets), strict=True), color=ACCENT, linewidth=2.4, marker="o", markersize=3,
              label="GFNet, a point for each set of thresholds")  # fmt: skip
    if chosen is not None:
        axes.plot(*chosen, color=ACCENT, linestyle="none", marker="o", markersize=11, markerfacecolor="none",
                  markeredgewidth=2, label="the set of thresholds used on this page")  # fmt: skip
    axes.plot(*zip(*stops, strict=True), color=QUIET, linestyle="--", marker="s", markersize=6,
              label="GFNet, every image stops after step 1, 2, …")  # fmt: skip
    costs, accuracies, sizes = zip(*sorted(baselines), strict=True)
    axes.plot(costs, accuracies, color=_BASELINE, linestyle=":", linewidth=2, marker="*", markersize=12,
              label="the backbone alone, whole image of … pixels")  # fmt: skip
    for cost, accuracy, size in zip(costs, accuracies, sizes, strict=True):
        axes.annotate(str(size), (cost, accuracy), (0, -16), textcoords="offset points", ha="center", color=_BASELINE)
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_xlim(left=0)
    axes.margins(y=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), borderaxespad=0)


def exit_distribution(evaluation: Evaluation) -> Markup:
    """Which share of the images stops at which step, over the average cost."""
    points = sorted(
        (point for point in evaluation.budgeted if point.exit_distribution), key=lambda point: point.mean_macs
    )
    with drawing(_WIDTH, 3.0) as (figure, axes):
        costs = [point.mean_macs / 1e6 for point in points]
        shares = [[100 * point.exit_distribution[i] for point in points] for i in range(len(evaluation.macs))]
        steps = range(1, len(shares) + 1)
        axes.stackplot(
            costs, shares, colors=[step_colour(i) for i in steps], labels=[f"step {i}" for i in steps], alpha=0.85
        )
        axes.set_xlabel("millions of multiply-adds per image, on average")
        axes.set_ylabel("images that stop (%)")
        axes.set_ylim(0, 100)
        axes.margins(x=0)
        axes.legend(loc="upper center", ncols=len(shares), bbox_to_anchor=(0.5, 1.2))
        return to_svg(figure, "exits")
