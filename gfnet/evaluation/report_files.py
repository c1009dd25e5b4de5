"""``gfnet evaluate --report``: an evaluation as tables and charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gfnet.escaping import csv_text
from gfnet.evaluation.report import EvaluationReport
from gfnet.extras import require
from gfnet.files.replacing import check_files, record_files
from gfnet.files.writing import write_text

_KIND = "evaluation report"
_TABLES, _CHARTS = ("curve", "classes", "confusion", "calibration"), ("curve", "calibration")
_FILES = (*(f"{name}.csv" for name in _TABLES), *(f"{name}.png" for name in _CHARTS))


def check_report(folder: Path) -> None:
    """Fail now rather than after the evaluation.

    Raises:
        GFNetError: ``folder`` is a file, or has files of a report's names that no report wrote; the charts' library
            is missing.
    """
    check_files(folder, _FILES, _KIND)
    require("matplotlib")


def write_report_files(folder: Path, report: EvaluationReport) -> list[Path]:
    """Write ``curve``, ``classes``, ``confusion`` and ``calibration`` as CSV, two of them as PNG too.

    Those of an earlier report are replaced; other files in ``folder`` stay.

    Returns:
        The files.

    Raises:
        GFNetError: a file of such a name is another's, the place is not writable, or the disk is full.
    """
    from gfnet.evaluation import charts

    check_files(folder, _FILES, _KIND)
    record_files(folder, _FILES, _KIND)

    labels = [row.label for row in report.classes]
    tables: dict[str, tuple[Sequence[str], Iterable[Sequence[object]]]] = {
        "curve": (_curve_header(len(report.macs)), _curve_rows(report)),
        "classes": (
            ("class", "images", "top1", "last_step_top1"),
            ((row.label, row.images, row.top1, row.last_top1) for row in report.classes),
        ),
        "confusion": (
            ("truth", "answer", "images"),
            ((labels[pair.truth], labels[pair.answer], pair.images) for pair in report.confusions),
        ),
        "calibration": (("step", "lower", "upper", "images", "confidence", "top1"), _calibration_rows(report)),
    }
    written = []
    for name, (header, rows) in tables.items():
        written.append(folder / f"{name}.csv")
        write_text(written[-1], csv_text(header, rows))
    for name, draw in (
        ("curve", charts.accuracy_against_cost),
        ("calibration", charts.reliability),
    ):
        written.append(folder / f"{name}.png")
        charts.write_png(written[-1], draw, report)
    return written


def _curve_header(steps: int) -> tuple[str, ...]:
    return (
        "solver",
        "step",
        "budget_macs",
        "mean_macs",
        "mean_ms",
        "top1",
        "top5",
        *(f"threshold_{i}" for i in range(1, steps + 1)),
        *(f"exit_share_{i}" for i in range(1, steps + 1)),
    )


def _curve_rows(report: EvaluationReport) -> Iterator[tuple[object, ...]]:
    """Every step as if all images stopped there (solver ``anytime``), then every budget of every solver."""
    steps = len(report.macs)
    for index, (macs, step) in enumerate(zip(report.macs, report.steps, strict=True)):
        shares = [float(i == index) for i in range(steps)]
        ms = None if report.step_ms is None else report.step_ms[index]
        yield ("anytime", index + 1, None, macs, ms, step.top1, step.top5, *([None] * steps), *shares)
    for solver, curve in report.curves.items():
        for point, top5, ms in zip(curve.points, curve.top5, curve.mean_ms or [None] * len(curve.points), strict=True):
            shares = list(point.exit_distribution)
            yield (solver, None, point.budget, point.mean_macs, ms, point.top1, top5, *point.thresholds, *shares)


def _calibration_rows(report: EvaluationReport) -> Iterator[tuple[object, ...]]:
    for index, step in enumerate(report.steps, start=1):
        for part in step.bins:
            yield (index, part.lower, part.upper, part.images, part.confidence, part.top1)
