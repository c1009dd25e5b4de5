"""The papers' latency figure drawn anew, with what was recovered from it and measured devices beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from gfnet.errors import DataError
from gfnet.files.writing import atomic_file
from gfnet.pictures.chart_style import INK, QUIET
from gfnet.pictures.svg import SVG_STYLE
from gfnet_benchmark.paper.devices import DeviceCurve
from gfnet_benchmark.paper.published import Marker, Piece
from gfnet_benchmark.paper.recovery import GRID, EqualAccuracyRatio, FigureFit, PieceFit, exit_shares

_PIECES = ("#3b82f6", "#d97706", "#059669")  # one a network; blue is ACCENT
_RIVAL, _FAINT = "#b91c1c", "#9c9c9d"
_DASHED: Any = {"linewidth": 1, "linestyle": "--"}
_OTHERS = ("^", "D", "v")
_CURVE_HEIGHT = 5.4  # inches
_DPI = 144


def write_chart(path: Path, figure: FigureFit, curves: Sequence[DeviceCurve] = ()) -> None:
    """Draw a figure into ``path``, whole or not at all, as its name ends: .png or .svg.

    Raises:
        DataError: another ending.
        GFNetError: the place is not writable or the disk is full.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in ("png", "svg"):
        raise DataError(f"{path}: a chart is a .png or an .svg; choose another name")
    # Without a date or a program's version the same figure is the same file.
    metadata: dict[str, Any] = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
    with mpl.rc_context(SVG_STYLE), atomic_file(path) as temporary:
        draw_figure(figure, curves).savefig(temporary, format=form, dpi=_DPI, metadata=metadata)


def draw_figure(figure: FigureFit, curves: Sequence[DeviceCurve] = ()) -> Figure:
    """The published curve above the recovered lengths, then one such pair for every device."""
    heights = [_CURVE_HEIGHT, _strip_height(len(figure.pieces))]
    for curve in curves:
        heights += [_CURVE_HEIGHT, _strip_height(len(curve.pieces))]
    drawn = Figure(figsize=(8.6, sum(heights)), layout="constrained")
    panels = drawn.subplots(len(heights), 1, height_ratios=heights)
    colours = {fit.piece.network: colour for fit, colour in zip(figure.pieces, _PIECES, strict=False)}
    _published(panels[0], panels[1], figure, colours)
    for index, curve in enumerate(curves, start=1):
        panels[2 * index].sharey(panels[0])  # the accuracies are the same
        _device(panels[2 * index], panels[2 * index + 1], figure, curve, colours)
    return drawn


def _strip_height(rows: int) -> float:
    return 0.9 + 0.42 * rows


def _published(axes: Any, strip: Any, figure: FigureFit, colours: dict[str, str]) -> None:
    for fit in figure.pieces:
        _draw_piece(axes, fit.piece, colours[fit.piece.network])
        _draw_places(axes, fit)
    rivals = [ratio.marker for ratio in figure.ratios]
    _draw_rivals(axes, rivals, [True] * len(rivals))
    _draw_ratios(axes, figure.ratios)
    others = [marker for marker in figure.markers if marker.series != figure.source.rival]
    series = list(dict.fromkeys(marker.series for marker in others))
    for shape, name in zip(_OTHERS, series, strict=False):
        points = [(marker.cost, marker.top1) for marker in others if marker.series == name]
        style = {"color": _FAINT, "linewidth": 0.8, "linestyle": ":", "marker": shape, "markersize": 5}
        axes.plot([cost for cost, _ in points], [top1 for _, top1 in points], zorder=2, **style)
    handles = [
        *_piece_handles(),
        Line2D([], [], color=INK, linestyle="none", marker="|", markersize=9, label="places of the exit rule's grid"),
        _rival_handle(figure, hollow=False),
        *(
            Line2D([], [], color=_FAINT, linewidth=0.8, linestyle=":", marker=shape, markersize=5, label=name)
            for shape, name in zip(_OTHERS, series, strict=False)
        ),
    ]
    _finish(axes, f"{figure.source.title}, as published (iPhone XS Max)", [marker.cost for marker in figure.markers])
    axes.legend(handles=handles, loc="lower right", fontsize=9)
    lengths = {fit.piece.network: fit.by_cost.lengths_ms for fit in figure.pieces}
    _draw_lengths(strip, axes, lengths, colours, "time of 1, 2, .. steps, recovered from the curve")
    strip.set_xlabel("milliseconds per image, average")


def _device(axes: Any, strip: Any, figure: FigureFit, curve: DeviceCurve, colours: dict[str, str]) -> None:
    for piece in curve.pieces:
        _draw_piece(axes, piece, colours[piece.network])
    _draw_rivals(axes, curve.markers, curve.measured)
    _draw_ratios(axes, curve.ratios)
    handles = _piece_handles()
    if any(curve.measured):
        handles.append(_rival_handle(figure, hollow=False))
    if not all(curve.measured):
        handles.append(_rival_handle(figure, hollow=True))
    ends = [float(piece.cost[-1]) for piece in curve.pieces]
    _finish(axes, curve.device.name, [*ends, *(marker.cost for marker in curve.markers)])
    axes.legend(handles=handles, loc="lower right" if curve.markers else "upper left", fontsize=9)
    lengths = {piece.network: curve.device.cumulative_ms[piece.network] for piece in curve.pieces}
    _draw_lengths(strip, axes, lengths, colours, "time of 1, 2, .. steps, measured")
    strip.set_xlabel("milliseconds per image on this device, with the papers' accuracies and exit shares")
    if curve.scale is not None:
        scale = curve.scale
        above = axes.secondary_xaxis("top", functions=(lambda ms: ms * scale, lambda ms: ms / scale))
        above.set_xlabel(f"the same, scaled so that {figure.source.anchor} takes as long as published", fontsize=9)
        above.xaxis.label.set_color(QUIET)
        above.tick_params(colors=QUIET, labelsize=9)


def _draw_piece(axes: Any, piece: Piece, colour: str) -> None:
    axes.plot(piece.cost, piece.top1, color=colour, linewidth=1.4, alpha=0.4, zorder=2.5)
    axes.plot(piece.cost, np.where(piece.black, piece.top1, np.nan), color=colour, linewidth=2.4, zorder=3)
    points = ~piece.junction
    dots = {"marker": "o", "markersize": 4.2, "markeredgecolor": "white", "markeredgewidth": 0.6}
    axes.plot(piece.cost[points], piece.top1[points], color=colour, linestyle="none", zorder=3.2, **dots)


def _draw_places(axes: Any, fit: PieceFit) -> None:
    """Ticks where the papers' rule would put the points; they meet the points where it explains them."""
    means = exit_shares(len(fit.macs), GRID) @ np.asarray(fit.by_cost.lengths_ms)
    cost = fit.piece.cost
    # The first point is the first place up to the error of both.
    means = means[(means > 0.99 * cost[0]) & (means < 1.01 * cost[-1])]
    style = {"marker": "|", "markersize": 10, "markeredgewidth": 0.9, "linestyle": "none"}
    axes.plot(means, np.interp(means, cost, fit.piece.top1), color=INK, zorder=2.8, **style)


def _draw_rivals(axes: Any, markers: Sequence[Marker], measured: Sequence[bool]) -> None:
    ordered = sorted(markers, key=lambda marker: marker.top1)
    axes.plot([marker.cost for marker in ordered], [marker.top1 for marker in ordered], color=_RIVAL, **_DASHED)
    for marker, real in zip(markers, measured, strict=True):
        face = _RIVAL if real else "white"
        square = {"marker": "s", "markersize": 6.5, "linestyle": "none", "markerfacecolor": face}
        axes.plot(marker.cost, marker.top1, color=_RIVAL, zorder=4, **square)
        if marker.network is not None:
            _note(axes, marker.title, (marker.cost, marker.top1), (7, -11), color=_RIVAL, fontsize=8.5)


def _draw_ratios(axes: Any, ratios: Sequence[EqualAccuracyRatio]) -> None:
    """From every rival to the curve at its accuracy, with how many times as fast GFNet is."""
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 5, "shrinkB": 2}
    for ratio in ratios:
        if ratio.gfnet_ms is not None and ratio.ratio is not None:
            here = (ratio.marker.cost, ratio.marker.top1)
            axes.annotate("", (ratio.gfnet_ms, here[1]), xytext=here, arrowprops=arrow, zorder=3.5)
            _note(axes, f"{1 / ratio.ratio:.2f}×", here, (0, 7), ha="center", fontsize=9.5, fontweight="bold")


def _note(axes: Any, text: str, at: tuple[float, float], offset: tuple[float, float], **style: Any) -> None:
    halo = [withStroke(linewidth=2.5, foreground="white")]
    axes.annotate(text, at, xytext=offset, textcoords="offset points", path_effects=halo, zorder=5, **style)


def _piece_handles() -> list[Line2D]:
    return [
        Line2D([], [], color=INK, linewidth=2.4, marker="o", markersize=4.2, markeredgecolor="white", label="GFNet"),
        Line2D([], [], color=INK, linewidth=1.4, alpha=0.4, label="the same network where another is better"),
    ]


def _rival_handle(figure: FigureFit, *, hollow: bool) -> Line2D:
    face, note = ("white", ", the published time scaled") if hollow else (_RIVAL, "")
    label = figure.source.rival + note
    return Line2D([], [], color=_RIVAL, marker="s", markersize=6.5, markerfacecolor=face, label=label, **_DASHED)


def _finish(axes: Any, title: str, costs: Sequence[float]) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_xlim(0, max(costs) * 1.12)
    axes.tick_params(labelbottom=False, bottom=False)


def _draw_lengths(
    strip: Any, axes: Any, lengths: dict[str, tuple[float, ...]], colours: dict[str, str], title: str
) -> None:
    """One row a network: the time of 1 .. T steps as numbered dots, on the milliseconds of the curve above."""
    strip.sharex(axes)
    right = axes.get_xlim()[1]
    for row, (network, times) in enumerate(lengths.items()):
        colour = colours[network]
        strip.plot([times[0], times[-1]], [row, row], color=colour, linewidth=1.2, alpha=0.5)
        shown = ", ".join(f"{ms:.2f}" if times[-1] < 100 else f"{ms:.1f}" for ms in times)
        _note(strip, f"{network}: {shown} ms", (times[0], row), (0, 9), color=colour, fontsize=8.5)
        for step, ms in enumerate(times, start=1):
            if ms < 0.985 * right:
                strip.plot(ms, row, marker="o", markersize=13, color=colour, linestyle="none", zorder=6)
                strip.text(ms, row, str(step), color="white", ha="center", va="center_baseline", fontsize=8.5, zorder=7)
    strip.set_title(title, loc="left", fontsize=9.5)
    strip.set_ylim(len(lengths) - 0.6, -0.85)
    strip.set_yticks([])
    strip.spines["left"].set_visible(False)
