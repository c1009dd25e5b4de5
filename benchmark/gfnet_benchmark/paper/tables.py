"""A latency figure's fits and the devices beside it, as lines of text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from gfnet.escaping import Lines, as_lines
from gfnet_benchmark.paper.devices import DeviceCurve
from gfnet_benchmark.paper.published import Marker
from gfnet_benchmark.paper.recovery import (
    NOT_REPRODUCED,
    EqualAccuracyRatio,
    FigureFit,
    PieceFit,
    exit_shares,
    mean_ratio,
)


def paper_table(figure: FigureFit, curves: Sequence[DeviceCurve] = ()) -> Lines:
    """Lengths and exit rule of every piece, ratios of the figure and of every device, and what cannot be checked."""
    source = figure.source
    width = max(len(fit.piece.network) for fit in figure.pieces)
    lines = [
        f"{source.title}, iPhone XS Max; a point is read to ±{source.ms_error} ms",
        "",
        "milliseconds of 1 .. T steps, recovered from the published curve (residual):",
    ]
    for fit in figure.pieces:
        for road, found, error, rms in (
            ("by multiply-adds", fit.by_cost.lengths_ms, fit.by_cost.errors_ms, fit.by_cost.rms_ms),
            ("by the exit rule", fit.by_grid.lengths_ms, fit.by_grid.errors_ms, fit.by_grid.rms_ms),
        ):
            name = fit.piece.network if road == "by multiply-adds" else ""
            cells = "  ".join(f"{ms:6.2f} ±{e:.2f}" for ms, e in zip(found, error, strict=True))
            lines.append(f"  {name:<{width}}  {road}  {cells}  ({rms:.3f})")
        lines.append(f"  {'':<{width}}  {_verdict(fit)}")
    lines += ["", *_ratio_lines(figure.ratios, "published")]
    for curve in curves:
        lines += ["", *_device_lines(figure, curve)]
    return as_lines([*lines, "", "not reproduced here:", *(f"  {reason}" for reason in NOT_REPRODUCED)])


def paper_result(figure: FigureFit, curves: Sequence[DeviceCurve] = ()) -> dict[str, Any]:
    """The same as JSON-ready values."""
    return {
        "figure": figure.name,
        "ms_error": figure.source.ms_error,
        "pieces": [_piece_result(fit) for fit in figure.pieces],
        "ratios": [_ratio_result(ratio) for ratio in figure.ratios],
        "mean_ratio": mean_ratio(figure.ratios),
        "devices": [_device_result(curve) for curve in curves],
        "not_reproduced": list(NOT_REPRODUCED),
    }


def _verdict(fit: PieceFit) -> str:
    if fit.explained:
        return (
            f"the exit rule explains it: residual {fit.excess:.1f} times the reading error, "
            f"points {fit.spacing:.2f} places of its grid apart"
        )
    return (
        f"the exit rule does not: residual {fit.excess:.0f} times the reading error; "
        f"shares of its form {fit.spacing:.2f} places apart would, to {fit.spaced_rms_ms:.3f} ms"
    )


def _ratio_lines(ratios: Sequence[EqualAccuracyRatio], title: str, notes: Sequence[str] = ()) -> list[str]:
    lines = [f"{title:<20} top-1 %        ms  GFNet ms   ratio  times as fast"]
    for index, ratio in enumerate(ratios):
        marker = ratio.marker
        cells = f"{'-':>8}{'-':>8}" if ratio.gfnet_ms is None else f"{ratio.gfnet_ms:8.2f}{ratio.ratio:8.3f}"
        speed = "" if ratio.ratio is None else f"{1 / ratio.ratio:10.2f}"
        note = f"   {notes[index]}" if notes else ""
        line = f"  {_title(marker):<18} {marker.top1:7.2f} {marker.cost:9.2f}  {cells}{speed:>10}{note}"
        lines.append(line.rstrip())
    mean = mean_ratio(ratios)
    if mean is not None:
        lines.append(f"  {'mean':<18} {'':7} {'':9}  {'':8}{mean:8.3f}{1 / mean:10.2f}")
    return lines


def _title(marker: Marker) -> str:
    return marker.title if marker.network is not None else f"{marker.title} (?)"


def _device_lines(figure: FigureFit, curve: DeviceCurve) -> list[str]:
    published = {ratio.marker.top1: ratio.ratio for ratio in figure.ratios}
    notes = []
    for marker, measured in zip(curve.markers, curve.measured, strict=True):
        ratio = published[marker.top1]
        notes.append(("measured" if measured else "scaled  ") + ("" if ratio is None else f", published {ratio:.3f}"))
    lines = [f"beside it, with the papers' accuracies and exit shares: {curve.device.name}"]
    lines += [
        f"  {piece.network}: {piece.cost[0]:.2f} to {piece.cost[-1]:.2f} ms on average, lengths "
        + ", ".join(f"{ms:.2f}" for ms in curve.device.cumulative_ms[piece.network])
        for piece in curve.pieces
    ]
    if curve.missing:
        lines.append(f"  not measured: {', '.join(curve.missing)}; ratios hold for the rest of the curve")
    if curve.scale is None:
        lines.append(f"  no {figure.source.anchor} in this result, so it is shown in its own milliseconds only")
    else:
        lines.append(f"  one of its milliseconds is {curve.scale:.3f} of the figure's, by {figure.source.anchor}")
    if curve.markers:
        lines += _ratio_lines(curve.ratios, "  on this device", notes)
    return lines


def _piece_result(fit: PieceFit) -> dict[str, Any]:
    shares = exit_shares(len(fit.macs), fit.quotients)
    return {
        "network": fit.piece.network,
        "macs": list(fit.macs),
        "by_multiply_adds": dataclasses.asdict(fit.by_cost),
        "by_exit_rule": dataclasses.asdict(fit.by_grid),
        "spacing": fit.spacing,
        "spaced_rms_ms": fit.spaced_rms_ms,
        "excess": fit.excess,
        "explained": fit.explained,
        "points": [
            {"ms": float(ms), "top1": float(top1), "black": bool(black), "exit_distribution": row.tolist()}
            for ms, top1, black, row in zip(fit.piece.cost, fit.piece.top1, fit.piece.black, shares, strict=True)
        ],
    }


def _ratio_result(ratio: EqualAccuracyRatio) -> dict[str, Any]:
    return {
        **dataclasses.asdict(ratio.marker),
        "gfnet_ms": ratio.gfnet_ms,
        "ratio": ratio.ratio,
    }


def _device_result(curve: DeviceCurve) -> dict[str, Any]:
    return {
        "name": curve.device.name,
        "cumulative_ms": {name: list(lengths) for name, lengths in curve.device.cumulative_ms.items()},
        "baselines_ms": dict(curve.device.baselines_ms),
        "missing": list(curve.missing),
        "scale": curve.scale,
        "pieces": [
            {"network": piece.network, "ms": piece.cost.tolist(), "top1": piece.top1.tolist()} for piece in curve.pieces
        ],
        "ratios": [
            {**_ratio_result(ratio), "measured": measured}
            for ratio, measured in zip(curve.ratios, curve.measured, strict=True)
        ],
        "mean_ratio": mean_ratio(curve.ratios),
    }
