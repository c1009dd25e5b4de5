"""Accuracy against mean latency, as a result holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gfnet.results.schema import Result, Subject


@dataclass(frozen=True)
class Point:
    """One way to run something.

    Attributes:
        ms: mean latency of an image.
        relative: to the reference's, if there is one.
        top1: percent.
        told: what it is, in a few words a line.
        size: side of the whole image that a classifier sees, pixels.
    """

    ms: float
    relative: float | None
    top1: float
    told: tuple[str, ...]
    size: int | None = None


@dataclass(frozen=True)
class LatencyCurve:
    """Points that belong together, cheapest first.

    Attributes:
        kind: ``budgets``: one a set of thresholds; ``stops``: all images stop after the same step; ``measured``: like
            ``budgets``, but accuracy, too, is that of this run's images; ``classifier``: the full image, one point for
            each of its sizes.
    """

    subject: str
    kind: Literal["budgets", "measured", "stops", "classifier"]
    points: tuple[Point, ...]


def curves_of(result: Result, wanted: Callable[[str], bool] = lambda _: True) -> tuple[LatencyCurve, ...]:
    """Every curve of a result that has an accuracy; stored accuracies first, then the run's own.

    Args:
        wanted: whether the subject of this name is drawn; a reference that is not still is what ratios are to.
    """
    found = []
    alike: dict[tuple[str, str, int | None], list[tuple[Subject, tuple[Point, ...]]]] = {}
    for subject in result.subjects:
        if not wanted(subject.name):
            continue
        reference = result.subject(subject.reference) if subject.reference else None
        base = None if reference is None else reference.loop.typical_ms
        if any(other.reference == subject.name for other in result.subjects):
            base = subject.loop.typical_ms  # the reference itself is at 1
        if subject.kind == "classifier":
            alike.setdefault(_form(subject), []).append((subject, _classifier(subject, base)))
        else:
            found.append(LatencyCurve(subject.name, "budgets", _budgets(subject, base)))
            found.append(LatencyCurve(subject.name, "measured", _budgets(subject, base, measured=True)))
            found.append(LatencyCurve(subject.name, "stops", _stops(subject, base)))
    for (arch, precision, _), members in alike.items():
        known = [(subject, points) for subject, points in members if points]
        name = f"{arch} {precision} on the full image" if len(known) > 1 else members[0][0].name
        points = sorted((point for _, points in known for point in points), key=lambda point: point.ms)
        found.append(LatencyCurve(name, "classifier", tuple(points)))
    return tuple(curve for curve in found if curve.points)


def _form(subject: Subject) -> tuple[str, str, int | None]:
    """What classifiers have in common that differ in their image's size alone."""
    return subject.network.partition("@")[0], subject.precision, subject.runtime.threads


def _classifier(subject: Subject, base: float | None) -> tuple[Point, ...]:
    loop = subject.loop
    top1 = subject.stored_top1[-1] if subject.stored_top1 else loop.top1
    if top1 is None:
        return ()
    return (replace(_point(loop.typical_ms, base, top1, (subject.name,)), size=subject.image_size),)


def _budgets(subject: Subject, base: float | None, *, measured: bool = False) -> tuple[Point, ...]:
    """A point for each stored set of thresholds: as stored, or as this run's images gave it."""
    name = f"{subject.name}, this run's images" if measured else subject.name
    points = []
    for point in subject.curve:
        ms, top1, exits = (
            (point.measured_ms, point.measured_top1, point.measured_exits)
            if measured
            else (point.modelled_ms, point.top1, point.exit_distribution)
        )
        if ms is not None and top1 is not None:
            told = (name, f"thresholds {thresholds_text(point.thresholds)}", f"exits {exits_text(exits)} %")
            points.append(_point(ms, base, top1, told))
    return tuple(sorted(points, key=lambda point: point.ms))


def _stops(subject: Subject, base: float | None) -> tuple[Point, ...]:
    stored = subject.stored_top1 or (None,) * len(subject.stops)
    return tuple(
        _point(stop.typical_ms, base, top1, (subject.name, f"all images stop after step {stop.step}"))
        for stop, known in zip(subject.stops, stored, strict=True)
        if (top1 := known if known is not None else stop.top1) is not None
    )


def _point(ms: float, base: float | None, top1: float, told: tuple[str, ...]) -> Point:
    figures = (f"{top1:.2f} % in {ms:.3f} ms", *((f"{ms / base:.3f} of the baseline",) if base else ()))
    return Point(ms, ms / base if base else None, top1, (told[0], *figures, *told[1:]))


def thresholds_text(thresholds: Sequence[float]) -> str:
    """Thresholds of all steps but the last, which takes all images; ``-`` where no image stops."""
    return ", ".join("-" if value > 1 else f"{max(value, 0):.3f}" for value in thresholds[:-1]) or "none"


def exits_text(shares: Sequence[float]) -> str:
    """An exit distribution in percent, step by step."""
    return " / ".join(f"{100 * share:.0f}" for share in shares)
