"""A run's metrics as one picture.  Needs matplotlib, which is imported when it is drawn."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from gfnet.errors import TrainingError
from gfnet.files.reading import parse_json, read_bytes
from gfnet.pictures.chart_style import INK, STYLE
from gfnet.pictures.drawing import step_colour

_LARGEST_METRICS = 1024**3  # bytes


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; invalid lines, such as half a line after a power failure, are left out."""
    lines = []
    for line in read_bytes(path, _LARGEST_METRICS, TrainingError).splitlines():
        with suppress(TrainingError):
            values = parse_json(line, path, TrainingError)
            if isinstance(values, dict) and isinstance(values.get("stage"), int):
                lines.append(values)
    return lines


def skipped_batches(metrics: Path) -> list[dict[str, int]]:
    """The epochs of a ``metrics.jsonl`` in which batches were skipped, and how many: stage, epoch from 1, skipped."""
    counts: dict[tuple[int, int], int] = {}
    for line in read_metrics(metrics) if metrics.exists() else ():
        if line["event"] == "training" and line.get("epoch_skipped"):
            counts[line["stage"], line["epoch"]] = line["epoch_skipped"]  # it only grows
    return [{"stage": stage, "epoch": epoch, "skipped": skipped} for (stage, epoch), skipped in counts.items()]


def draw_curves(metrics: Path, out: Path) -> None:
    """Draw loss, accuracy of every step and, once there are some, rewards over the iterations as a PNG.

    In stage 0 the global encoder's accuracy on shrunk images stands for step 1, the local one's on full images for
    step 2.

    Args:
        metrics: a run's ``metrics.jsonl``.
        out: the picture.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    lines = read_metrics(metrics)
    training = [line for line in lines if line["event"] == "training"]
    validation = [line for line in lines if line["event"] == "validation"]
    with rc_context(STYLE):
        rewarded = any("rewards" in line for line in training)
        figure = Figure(figsize=(9, 9 if rewarded else 6), layout="constrained")
        panels = figure.subplots(3 if rewarded else 2, 1, sharex=True)
        loss, accuracy = panels[:2]
        for stage in sorted({line["stage"] for line in lines}):
            of_stage = [line for line in training if line["stage"] == stage]
            if not of_stage:
                continue
            first, last = of_stage[0]["iteration"], of_stage[-1]["iteration"]
            for axes in panels:
                axes.axvspan(first, last, color=INK, alpha=0.04 * (stage % 2), linewidth=0)
            loss.text(first, 1.01, f"stage {stage}", transform=loss.get_xaxis_transform(), fontsize=9)
            _plot(loss, of_stage, "loss", None, "-")
            _plot(accuracy, of_stage, "top1", step_colour, ":")
            _plot(accuracy, [line for line in validation if line["stage"] == stage], "top1", step_colour, "o-")
            if rewarded:
                _plot(panels[2], of_stage, "rewards", lambda index: step_colour(index + 1), "-")
                panels[2].set_ylabel("mean reward")
        loss.set_ylabel("training loss")
        accuracy.set_ylabel("top-1, %\n(dotted: training, circles: validation)")
        panels[-1].set_xlabel("iteration")
        steps = max((len(line["top1"]) for line in lines), default=0)
        handles = [Line2D([], [], color=step_colour(step)) for step in range(1, steps + 1)]
        accuracy.legend(handles, [f"step {step}" for step in range(1, steps + 1)], fontsize=8, loc="lower right")
        figure.savefig(out, dpi=110, format="png")


def _plot(axes: Any, lines: list[dict[str, Any]], name: str, colour: Any, style: str) -> None:
    """One curve for each entry of ``name``, which is a number or one a step."""
    rows = [(line["iteration"], line[name]) for line in lines if line.get(name)]
    if not rows:
        return
    x = [iteration for iteration, _ in rows]
    if len(rows) == 1:
        style = "o"  # a line of one point is invisible
    if colour is None:
        axes.plot(x, [value for _, value in rows], style, color=INK, linewidth=1.2)
        return
    for index in range(len(rows[0][1])):
        axes.plot(x, [values[index] for _, values in rows], style, color=colour(index + 1), linewidth=1.2, markersize=4)
