"""Checkpoints and results as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gfnet.escaping import Lines, as_lines
from gfnet.inference.budgets import BudgetPoint, Evaluation

if TYPE_CHECKING:  # they import torch, and what is said of a bundle needs none
    from gfnet.checkpoint import Checkpoint
    from gfnet.evaluation.calibration import Calibration
    from gfnet.evaluation.datasets import DatasetEvaluation
    from gfnet.evaluation.report import Curve, EvaluationReport

_SHOWN_BUDGETS = 8
_SHOWN_LABELS = 4
_SHOWN_CLASSES = 5


def describe_checkpoint(checkpoint: Checkpoint, macs: Sequence[float]) -> dict[str, Any]:
    """What ``gfnet info`` says of a network, as JSON-ready values.

    Args:
        macs: cumulative multiply-adds of its steps.
    """
    model = checkpoint.model
    labels = checkpoint.labels
    return {
        "network": model.config.name,
        "classes": model.config.num_classes,
        "labels": list(labels) if labels else None,
        "config": model.config.to_dict(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "macs": [float(value) for value in macs],
        "untrained": list(checkpoint.untrained),
        "recipe": checkpoint.recipe and dict(checkpoint.recipe),
        "evaluation": checkpoint.evaluation and dataclasses.asdict(checkpoint.evaluation),
    }


def checkpoint_table(summary: dict[str, Any]) -> Lines:
    """What :func:`describe_checkpoint` says, as lines of text; results have a table of their own."""
    rows = {
        **_network_rows(summary),
        "parameters": f"{summary['parameters'] / 1e6:.2f} M",
        **{name: value for name, value in summary["config"].items() if name not in ("arch", "steps", "num_classes")},
        "untrained": ", ".join(summary["untrained"]) or "nothing",
    }
    lines = [f"{name:<21}{_shown(value)}" for name, value in rows.items()]
    if summary["recipe"]:
        lines += ["", "recipe"]
        lines += [f"  {name:<29}{_shown(value)}" for name, value in _leaves(summary["recipe"])]
    return as_lines(lines)


def _leaves(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings by the names that ``gfnet train --set`` takes."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{name}.")
        else:
            yield place + name, value


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def bundle_table(summary: dict[str, Any]) -> Lines:
    """The same of a bundle, as :func:`gfnet.loading.describe_bundle` describes it."""
    form = summary["bundle"]
    compression = "" if form["compression"] == "none" else f", weights as {form['compression']}"
    rows = {
        **_network_rows(summary),
        "bundle": f"{form['format']}, {form['precision']}{compression}, layout {form['layout']}",
        "size": f"{summary['bytes'] / 1e6:.2f} MB",
        **{f"  {name}": f"{size / 1e6:.2f} MB" for name, size in summary["subgraphs"].items()},
        **summary["preprocessing"],
    }
    return _as_table(rows)


def _network_rows(summary: dict[str, Any]) -> dict[str, str]:
    labels = summary["labels"] or ["unknown"]
    shown = ", ".join(labels[:_SHOWN_LABELS]) + (", …" if len(labels) > _SHOWN_LABELS else "")
    return {
        "network": summary["network"],
        "classes": f"{summary['classes']} ({shown})",
        "multiply-adds": "  ".join(f"step {i}: {m / 1e6:.2f} M" for i, m in enumerate(summary["macs"], start=1)),
    }


def _as_table(rows: dict[str, Any]) -> Lines:
    return as_lines(f"{name:<21}{value}" for name, value in rows.items())


def evaluation_result(report: EvaluationReport) -> dict[str, Any]:
    """What ``gfnet evaluate --json`` writes."""
    solver, curve = next(iter(report.curves.items()))
    return {
        "classes": len(report.classes),
        "images": report.images,
        "macs": list(report.macs),
        "step_ms": report.step_ms and list(report.step_ms),
        "solver": solver,
        "search": report.search,
        "anytime_top1": [step.top1 for step in report.steps],
        "anytime_top5": [step.top5 for step in report.steps],
        "calibration_error": [step.calibration_error for step in report.steps],
        "calibration": [[dataclasses.asdict(part) for part in step.bins] for step in report.steps],
        "budgeted": _curve_result(curve),
        "other_solvers": {name: _curve_result(other) for name, other in report.curves.items() if name != solver},
        "chosen": dataclasses.asdict(report.chosen),
        "exits": [dataclasses.asdict(exit_report) for exit_report in report.exits],
        "per_class": [dataclasses.asdict(row) for row in report.classes],
        "confusions": [dataclasses.asdict(pair) for pair in report.confusions],
    }


def _curve_result(curve: Curve) -> list[dict[str, Any]]:
    times = curve.mean_ms or [None] * len(curve.points)
    return [
        {**dataclasses.asdict(point), "top5": top5, "mean_ms": ms}
        for point, top5, ms in zip(curve.points, curve.top5, times, strict=True)
    ]


def evaluation_table(evaluation: Evaluation, *, every_budget: bool = False) -> Lines:
    """Accuracy after every step and under budgets, as lines of text.

    Args:
        every_budget: all of them, and their thresholds, rather than a few.
    """
    lines = ["step   multiply-adds   top-1"]
    for step, (macs, top1) in enumerate(zip(evaluation.macs, evaluation.anytime_top1, strict=True), start=1):
        lines.append(f"{step:4d}   {macs / 1e6:11.2f} M   {top1:5.2f} %")
    lines += ["", *_budget_lines(evaluation.budgeted, every_budget=every_budget)]
    return as_lines(lines)


def report_table(report: EvaluationReport) -> Lines:
    """The same of a whole report, with who stops where and what is confused."""
    lines = [_step_header(report)]
    for index, (macs, step) in enumerate(zip(report.macs, report.steps, strict=True)):
        ms = "" if report.step_ms is None else f"{report.step_ms[index]:9.3f}"
        lines.append(
            f"{index + 1:4d}   {macs / 1e6:11.2f} M{ms}   {step.top1:5.2f} %   {step.top5:5.2f} %"
            f"   {step.calibration_error:5.2f} %"
        )
    for solver, curve in report.curves.items():
        lines += ["", f"{solver} thresholds, from: {report.search}"]
        lines += _budget_lines(curve.points, top5=curve.top5, mean_ms=curve.mean_ms)
    lines += ["", f"at the budget of {report.chosen.budget / 1e6:.2f} M"]
    for number, stopped in enumerate(report.exits, start=1):
        right = "" if stopped.top1 is None else f", {stopped.top1:.2f} % of them right"
        lines.append(f"  {stopped.images} images stop at step {number}{right}")
    known = sorted((row for row in report.classes if row.top1 is not None), key=lambda row: row.top1 or 0.0)
    if known:
        worst = ", ".join(f"{row.label} {row.top1:.1f} %" for row in known[:_SHOWN_CLASSES])
        lines.append(f"  least accurate: {worst}")
    if report.confusions:
        pairs = ", ".join(
            f"{report.classes[pair.truth].label} as {report.classes[pair.answer].label} {pair.images}"
            for pair in report.confusions[:_SHOWN_CLASSES]
        )
        lines.append(f"  most confused: {pairs}")
    return as_lines(lines)


def calibration_result(calibration: Calibration) -> dict[str, Any]:
    """What ``gfnet calibrate --json`` writes; percent."""
    sides = {"before": calibration.before, "after": calibration.after}
    return {
        "temperatures": list(calibration.temperatures),
        "images": calibration.images,
        "search": calibration.after.search,
        **{
            name: {
                "anytime_top1": list(side.evaluation.anytime_top1),
                "calibration_error": _calibration_errors(side),
                "budgeted": [dataclasses.asdict(point) for point in side.evaluation.budgeted],
            }
            for name, side in sides.items()
        },
    }


def calibration_table(calibration: Calibration) -> Lines:
    """The same as lines of text."""
    before, after = calibration.before, calibration.after
    rows = zip(calibration.temperatures, _calibration_errors(before), _calibration_errors(after), strict=True)
    lines = ["step   temperature   ECE before    after"]
    for step, (temperature, first, second) in enumerate(rows, start=1):
        lines.append(f"{step:4d}   {temperature:11.3f}   {first:8.2f} % {second:6.2f} %")
    lines += ["", f"thresholds from: {after.search}", "    before                  after", "     spent     top-1 " * 2]
    points = list(zip(before.evaluation.budgeted, after.evaluation.budgeted, strict=True))
    for pair in points[:: max(1, -(-len(points) // _SHOWN_BUDGETS))]:
        lines.append("   ".join(f"{point.mean_macs / 1e6:8.2f} M {point.top1 or 0.0:7.2f} %" for point in pair))
    return as_lines(line.rstrip() for line in lines)


def _calibration_errors(side: DatasetEvaluation) -> list[float]:
    from gfnet.evaluation.metrics import calibration_error, reliability_bins

    answers = side.predictions
    rows = zip(answers.confidence, answers.correct, strict=True)
    return [calibration_error(reliability_bins(confidence, correct)) for confidence, correct in rows]


def _step_header(report: EvaluationReport) -> str:
    ms = "" if report.step_ms is None else "       ms"
    return f"step   multiply-adds{ms}   top-1     top-5     ECE"


def _budget_lines(
    points: Sequence[BudgetPoint],
    *,
    top5: Sequence[float] | None = None,
    mean_ms: Sequence[float] | None = None,
    every_budget: bool = False,
) -> list[str]:
    """One line a budget: what was asked, what was spent, what came out."""
    extra = ("" if mean_ms is None else "        ms") + " top-1" + ("" if top5 is None else "     top-5")
    lines = [f"budget (average)   spent  {extra}     exits at step 1 .. T"]
    if every_budget:
        lines[0] += "; thresholds"
    stride = 1 if every_budget else max(1, -(-len(points) // _SHOWN_BUDGETS))
    for index in range(0, len(points), stride):
        point = points[index]
        right = "    -" if point.top1 is None else f"{point.top1:5.2f}"
        exits = " ".join(f"{100 * share:5.1f} %" for share in point.exit_distribution)
        ms = "" if mean_ms is None else f" {mean_ms[index]:9.3f}"
        nearly = "" if top5 is None else f"   {top5[index]:5.2f} %"
        line = f"{point.budget / 1e6:14.2f} M {point.mean_macs / 1e6:7.2f} M{ms} {right} %{nearly}   {exits}"
        if every_budget:
            line += "; " + " ".join(_threshold_text(value) for value in point.thresholds[:-1])
        lines.append(line.rstrip())
    return lines


def _threshold_text(value: float) -> str:
    return "never" if value > 1 else f"{value:.4f}"
