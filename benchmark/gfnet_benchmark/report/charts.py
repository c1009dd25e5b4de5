"""Charts of measured runs, as SVG or in one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from gfnet.errors import DataError
from gfnet.pictures.chart_style import ACCENT, INK, QUIET, STYLE
from gfnet.pictures.drawing import step_colour
from gfnet.pictures.svg import drawing, to_svg
from gfnet.results.schema import Result, Subject, Timing
from gfnet_benchmark.paper.published import Behind
from gfnet_benchmark.results.curves import LatencyCurve, Point, curves_of

_COLOURS = (ACCENT, "#e4572e", "#2a9d8f", "#8a5cd1", "#d19a1a", "#c2417c", "#5f7f3a", "#3f6f8f")
_STYLES = {"budgets": "-", "measured": "", "stops": "--", "classifier": ":"}
_MARKERS = {"budgets": "o", "measured": "x", "stops": "s", "classifier": "*"}
_SIZES = {"budgets": 3.5, "measured": 4, "stops": 6, "classifier": 10}
_TOLD = {
    "budgets": "{}, a point for each budget",
    "measured": "{}, on this run's images",
    "stops": "{}, all stop after step 1, 2, …",
    "classifier": "{}",
}
_WIDTH = 5.2
"""Inches, of a page's charts: narrow, so that their letters can still be read on a phone."""
_FEW = 4
"""Curves whose legend fits into the chart."""
_ROLES = {"policy": QUIET, "classifier": INK}


@dataclass(frozen=True)
class Line:
    """What is drawn as one line of a picture.

    Attributes:
        pattern: names of subjects in a result, as :func:`fnmatch.fnmatchcase` takes it.
        label: what the legend calls it.
    """

    pattern: str
    label: str

    @classmethod
    def parse(cls, text: str) -> Line:
        """From ``PATTERN=LABEL``, or a pattern alone."""
        pattern, _, label = text.partition("=")
        return cls(pattern, label or pattern)

    def takes(self, name: str) -> bool:
        """Whether the subject of that name is part of it."""
        return fnmatchcase(name, self.pattern)


def accuracy_latency(
    results: Sequence[tuple[str, Result]], name: str, published: Sequence[Behind] = ()
) -> Markup | None:
    """Top-1 over mean latency, of the baseline's if :func:`is_relative`; ``None`` without accuracies.

    Args:
        results: labels and results.
        name: unique on the page.
        published: drawn behind, if latencies are shares.
    """
    curves = _labelled(results)
    if not curves:
        return None
    with drawing(_WIDTH, 4.2 + 0.26 * len(curves)) as (figure, axes):
        tips = _draw_curves(axes, curves, published)
        return to_svg(figure, name, tips)


def is_relative(results: Sequence[tuple[str, Result]]) -> bool:
    """Whether every point of the curves has a baseline, so that latencies are shares of it."""
    return _relative(_labelled(results))


def _relative(curves: Sequence[tuple[str, LatencyCurve]]) -> bool:
    return all(point.relative is not None for _, curve in curves for point in curve.points)


def step_latencies(result: Result, name: str) -> Markup:
    """How the times of every subgraph and of whole images are spread; a line at the median, another up to p90."""
    rows = _rows(result)
    with drawing(7.2, 0.42 * len(rows) + 0.9) as (figure, axes):
        tips = _draw_rows(axes, rows)
        return to_svg(figure, name, tips)


def exits_over_latency(subject: Subject, name: str) -> Markup | None:
    """Which share of the images stops at which step, over the mean latency; ``None`` without stored thresholds."""
    points = sorted(
        (point for point in subject.curve if point.exit_distribution and point.modelled_ms is not None),
        key=lambda point: point.modelled_ms or 0,
    )
    if len(points) < 2:
        return None
    with drawing(_WIDTH, 3.0) as (figure, axes):
        steps = range(1, len(subject.stops) + 1)
        axes.stackplot(
            [point.modelled_ms for point in points],
            [[100 * point.exit_distribution[step - 1] for point in points] for step in steps],
            colors=[step_colour(step) for step in steps],
            labels=[f"step {step}" for step in steps],
            alpha=0.85,
        )
        axes.set_xlabel("mean latency, ms")
        axes.set_ylabel("images that stop (%)")
        axes.set_ylim(0, 100)
        axes.margins(x=0)
        axes.legend(loc="upper center", ncols=len(subject.stops), bbox_to_anchor=(0.5, 1.2))
        return to_svg(figure, name)


def picture(results: Sequence[tuple[str, Result]], published: Sequence[Behind] = ()) -> bytes:
    """The curve, if there is one, above every result's latencies: a PNG."""
    curves = _labelled(results)
    rows = [_rows(result) for _, result in results]
    heights = [4.8 + 0.12 * len(curves) if curves else 0.0, *(0.42 * len(row) + 1.2 for row in rows)]
    with mpl.rc_context(STYLE):
        longest = max(len(name) for row in rows for name, *_ in row)
        figure = Figure(figsize=(7.2 + 0.075 * longest, sum(heights)), layout="constrained")
        shown = [height for height in heights if height]
        axes: Any = figure.subplots(len(shown), 1, height_ratios=shown, squeeze=False)[:, 0]
        if curves:
            _draw_curves(axes[0], curves, published)
        for (label, _), row, below in zip(results, rows, axes[-len(rows) :], strict=True):
            _draw_rows(below, row)
            below.set_title(label, loc="left", fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


def curve_picture(
    results: Sequence[tuple[str, Result]], published: Sequence[Behind] = (), lines: Sequence[Line] = ()
) -> bytes | None:
    """Networks' budgets and classifiers alone: a PNG; ``None`` without accuracies.

    Times are milliseconds where one result is drawn by itself, and shares of the baseline's otherwise.

    Args:
        lines: what is drawn, each under its label; everything under its own name where there are none.

    Raises:
        DataError: a line's pattern is no subject's name.
    """
    curves = [one for one in _chosen(results, lines) if one[1].kind in ("budgets", "classifier")]
    if not curves:
        return None
    with mpl.rc_context(STYLE):
        few = len(curves) <= _FEW
        figure = Figure(figsize=(6.4, 4.4 if few else 4.6 + 0.24 * len(curves)), layout="constrained")
        axes = figure.add_subplot()
        _draw_curves(axes, curves, published, absolute=len(results) == 1 and not published, plain=bool(lines))
        if few:
            axes.legend(loc="lower right")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


def _chosen(results: Sequence[tuple[str, Result]], lines: Sequence[Line]) -> list[tuple[str, LatencyCurve]]:
    if not lines:
        return _labelled(results)
    found = []
    for line in lines:
        names = [subject.name for _, result in results for subject in result.subjects]
        if not any(line.takes(name) for name in names):
            raise DataError(f"--line {line.pattern}: nothing measured has that name; there are {', '.join(names)}")
        found += [(_plain(line.label), curve) for _, result in results for curve in curves_of(result, line.takes)]
    return found


def _labelled(results: Sequence[tuple[str, Result]]) -> list[tuple[str, LatencyCurve]]:
    several = len(results) > 1
    return [
        (_plain(f"{curve.subject} ({label})" if several else curve.subject), curve)
        for label, result in results
        for curve in curves_of(result)
    ]


def _plain(name: str) -> str:
    """A name that matplotlib takes for no formula, and does not leave out of a legend for its first letter."""
    return name.replace("$", r"\$").replace("_", "\u200b_", name.startswith("_"))


def _draw_curves(
    axes: Any,
    curves: Sequence[tuple[str, LatencyCurve]],
    published: Sequence[Behind],
    *,
    absolute: bool = False,
    plain: bool = False,
) -> dict[str, str]:
    """Draw curves; what to say of each point's ``gid``.

    Args:
        absolute: draw milliseconds even where there is a baseline.
        plain: the legend has the labels as they are.
    """
    relative = _relative(curves) and not absolute

    def across(point: Point) -> float:
        return point.relative if relative and point.relative is not None else point.ms

    if relative:
        for behind in published:
            axes.plot(
                behind.relative,
                behind.top1,
                color=QUIET,
                linewidth=4 if behind.line else 0,
                marker="" if behind.line else "D",
                markersize=5,
                alpha=0.45,
                zorder=1,
                label=behind.label,
            )
    tips = {}
    colours: dict[str, str] = {}
    for number, (label, curve) in enumerate(curves):
        colour = colours.setdefault(label, _COLOURS[len(colours) % len(_COLOURS)])
        axes.plot(
            [across(point) for point in curve.points],
            [point.top1 for point in curve.points],
            color=colour,
            linestyle=_STYLES[curve.kind] or "none",
            linewidth=2,
            marker=_MARKERS[curve.kind],
            markersize=_SIZES[curve.kind],
            label=label if plain else _TOLD[curve.kind].format(label),
            alpha=0.6 if curve.kind == "stops" else 1,
        )
        for index, point in enumerate(curve.points):  # invisible, and large enough to point at
            gid = f"point-{number}-{index}"
            (target,) = axes.plot([across(point)], [point.top1], marker="o", markersize=9, alpha=0, zorder=5)
            target.set_gid(gid)
            tips[gid] = "\n".join(point.told)
            if point.size is not None:
                axes.annotate(
                    f"{point.size}", (across(point), point.top1), (7, -11), textcoords="offset points", color=colour
                )
    axes.set_xlabel("mean time per photo, as a share of the baseline's" if relative else "mean time per photo (ms)")
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_xlim(left=0)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), fontsize=9, borderaxespad=0)
    return tips


def _rows(result: Result) -> list[tuple[str, Timing, str]]:
    """Name, times and colour of everything that was timed."""
    several = len(result.networks) > 1
    rows = []
    for subject in result.networks:
        before = _plain(f"{subject.name}: " if several else "")
        for graph in subject.subgraphs:
            colour = _ROLES.get(graph.role, step_colour(min(graph.steps)))
            rows.append((f"{before}{_plain(graph.name)}", graph.steady, colour))
        exits = "own exits" if subject.loop.thresholds is not None else "all steps"
        rows.append((f"{before}whole image, {exits}", subject.loop.latency, ACCENT))
    rows += [(_plain(subject.name), subject.loop.latency, INK) for subject in result.classifiers]
    return rows


def _draw_rows(axes: Any, rows: Sequence[tuple[str, Timing, str]]) -> dict[str, str]:
    tips = {}
    for position, (name, timing, colour) in enumerate(rows):
        end = timing.p90_ms
        if len(set(timing.samples_ms)) > 1:
            samples = np.asarray(timing.samples_ms)
            kept = samples[samples <= np.percentile(samples, 99)]
            end = max(end, float(kept.max()))
            shape = axes.violinplot(kept, [position], orientation="horizontal", widths=0.8, showextrema=False)
            for body in shape["bodies"]:
                body.set(facecolor=colour, alpha=0.55, edgecolor="none")
        else:
            axes.barh(position, timing.median_ms, color=colour, alpha=0.55, height=0.6)
        axes.plot([timing.median_ms, timing.p90_ms], [position, position], color=colour, linewidth=1.5)
        (mark,) = axes.plot([timing.median_ms], [position], marker="|", markersize=13, color=colour, markeredgewidth=2)
        mark.set_gid(f"row-{position}")
        tips[f"row-{position}"] = (
            f"{name}\nmedian {timing.median_ms:.3f} ms, p90 {timing.p90_ms:.3f}, p99 {timing.p99_ms:.3f}"
        )
        axes.annotate(f"{timing.median_ms:.2f}", (end, position), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("milliseconds")
    axes.set_xlim(left=0)
    axes.margins(x=0.1)
    return tips
