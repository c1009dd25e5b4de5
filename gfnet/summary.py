"""Checkpoints and results as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from gfnet.checkpoint import Checkpoint
from gfnet.results import Evaluation

_SHOWN_BUDGETS = 8
_SHOWN_LABELS = 4


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
        "evaluation": checkpoint.evaluation and dataclasses.asdict(checkpoint.evaluation),
    }


def checkpoint_table(summary: dict[str, Any]) -> str:
    """What :func:`describe_checkpoint` says, as lines of text; results have a table of their own."""
    labels = summary["labels"] or ["unknown"]
    shown = ", ".join(labels[:_SHOWN_LABELS]) + (", …" if len(labels) > _SHOWN_LABELS else "")
    rows = {
        "network": summary["network"],
        "classes": f"{summary['classes']} ({shown})",
        "parameters": f"{summary['parameters'] / 1e6:.2f} M",
        "multiply-adds": "  ".join(f"step {i}: {m / 1e6:.2f} M" for i, m in enumerate(summary["macs"], start=1)),
        **{name: value for name, value in summary["config"].items() if name not in ("arch", "steps", "num_classes")},
        "untrained": ", ".join(summary["untrained"]) or "nothing",
    }
    return "\n".join(f"{name:<21}{value}" for name, value in rows.items())


def evaluation_result(evaluation: Evaluation, classes: int) -> dict[str, Any]:
    """What ``gfnet evaluate --json`` writes."""
    return {
        "classes": classes,
        "images": evaluation.images,
        "macs": list(evaluation.macs),
        "anytime_top1": list(evaluation.anytime_top1),
        "budgeted": [dataclasses.asdict(point) for point in evaluation.budgeted],
    }


def evaluation_table(evaluation: Evaluation) -> str:
    """Accuracy after every step, and under a few budgets, as lines of text."""
    lines = ["step   multiply-adds   top-1"]
    for step, (macs, top1) in enumerate(zip(evaluation.macs, evaluation.anytime_top1, strict=True), start=1):
        lines.append(f"{step:4d}   {macs / 1e6:11.2f} M   {top1:5.2f} %")
    lines += ["", "budget (average)   spent   top-1   exits at step 1 .. T"]
    stride = max(1, -(-len(evaluation.budgeted) // _SHOWN_BUDGETS))
    for point in evaluation.budgeted[::stride]:
        right = "    -" if point.top1 is None else f"{point.top1:5.2f}"
        exits = " ".join(f"{100 * share:5.1f} %" for share in point.exit_distribution)
        lines.append(f"{point.budget / 1e6:14.2f} M {point.mean_macs / 1e6:7.2f} M {right} %   {exits}")
    return "\n".join(lines)
