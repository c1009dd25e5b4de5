"""What a runtime decides on whole walks, beside what torch decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gfnet.inference.exits import exit_steps
from gfnet.inference.traces import StepTrace, Trace
from gfnet_export.verify.gates import Gates, Share


@dataclass(frozen=True)
class Decisions:
    """What a runtime decided, walking each image by itself.

    Attributes:
        images: number of them.
        patches: number of all patches, run to the last step.
        borderline: how many images part from torch's walk first where rounding decides: torch's confidence all but
            equals a threshold, or that of the other answer, or its action lies between two pixels.  A threshold is one
            image's confidence, so on the images that it was found on there is one for each threshold.
        same_exit: share that stop at the same step, or are borderline.
        same_label: share that get the same answer where they stop, or are borderline.
        same_patch: share of patches at the same pixel.
        near_patch: share of patches as near as the gates ask, or behind a borderline one of the same image.
        largest_shift: of a patch, pixels along one axis.
        largest_margin: of the images that stop elsewhere, how far torch's confidence is from the threshold at the
            step where they part, at most.
        top1: accuracy in percent under the thresholds; ``None`` where labels are unknown.
    """

    runtime: str
    images: int
    patches: int
    borderline: int
    same_exit: float
    same_label: float
    same_patch: float
    near_patch: float
    largest_shift: int
    largest_margin: float
    top1: float | None


def confidences(traces: Sequence[Trace]) -> np.ndarray:
    """Confidences float32 [T, n] of traces that ran to the end."""
    return np.array([[step.confidence for step in trace.steps] for trace in traces], np.float32).T


@dataclass(frozen=True)
class _Parting:
    """Where the patches of one image part from torch's, steps counted from 0.

    Attributes:
        shifts: of every patch, pixels along the axis that it moved most on.
        borderline_from: the step whose patch, the first that moved, fell to the other side of a pixel's edge; beyond
            the last if none did.
    """

    shifts: tuple[int, ...]
    borderline_from: int


def decide(
    runtime: str,
    expected: Sequence[Trace],
    found: Sequence[Trace],
    thresholds: Sequence[float],
    gates: Gates,
    slack: int,
    labels: Sequence[int] | None = None,
) -> tuple[Decisions, dict[str, Share]]:
    """Compare a runtime's walks with torch's.

    Args:
        expected: torch's traces of n images, each run to the last step.
        found: the runtime's.
        thresholds: T values, under which images stop.
        gates: what must be reached.
        slack: how far a patch's origin can go, pixels: image size less patch size.
        labels: right answers, if they are known.

    Returns:
        The decisions, and the shares that have gates, by what they count.
    """
    wanted, got = confidences(expected), confidences(found)
    exits, others = exit_steps(wanted, thresholds), exit_steps(got, thresholds)
    partings = [_part(ours, theirs, gates.edge, slack) for ours, theirs in zip(expected, found, strict=True)]
    margins = np.zeros(len(expected))  # of images that stop elsewhere, at the step where they part
    excused = np.zeros(len(expected), bool)
    same_answer = np.zeros(len(expected), bool)
    answers = []
    for image, (ours, theirs, parting) in enumerate(zip(expected, found, partings, strict=True)):
        exit_step, other = exits[image], others[image]
        first = min(exit_step, other)
        answer = theirs.steps[other].class_index
        answers.append(answer)
        same_answer[image] = ours.steps[exit_step].class_index == answer
        if exit_step != other:
            margins[image] = abs(float(wanted[first, image]) - thresholds[first])
            excused[image] = margins[image] <= gates.borderline
        elif not same_answer[image]:
            excused[image] = _lead(ours.steps[exit_step], answer) <= gates.borderline
        differs = exit_step != other or not same_answer[image]
        excused[image] |= differs and parting.borderline_from <= first
    shifts = np.array([shift for parting in partings for shift in parting.shifts], int)
    near = sum(
        shift <= gates.shift or step >= parting.borderline_from
        for parting in partings
        for step, shift in enumerate(parting.shifts, start=1)
    )
    images = len(expected)
    shares = {
        "give the same label": Share(int((same_answer | excused).sum()), images, gates.same_label),
        "stop at the same step": Share(int(((exits == others) | excused).sum()), images, gates.same_exit),
        "look at the same pixels": Share(near, shifts.size, gates.near_patch),
    }
    label, stop, patch = shares.values()
    return Decisions(
        runtime=runtime,
        images=images,
        patches=shifts.size,
        borderline=int(excused.sum()),
        same_exit=stop.value,
        same_label=label.value,
        same_patch=float((shifts == 0).mean()) if shifts.size else 1.0,
        near_patch=patch.value,
        largest_shift=int(shifts.max()) if shifts.size else 0,
        largest_margin=float(margins.max()),
        top1=None if labels is None else float((np.array(answers) == np.asarray(labels)).mean() * 100),
    ), shares


def _part(expected: Trace, found: Trace, edge: float, slack: int) -> _Parting:
    """Compare the patches of one image; ``edge`` as in :class:`Gates`."""
    shifts: list[int] = []
    borderline_from = len(expected.steps)
    for step, (ours, theirs) in enumerate(zip(expected.steps, found.steps, strict=True)):
        if ours.action is None or ours.origin is None or theirs.origin is None:
            continue
        moved = np.abs(np.subtract(ours.origin, theirs.origin))
        place = np.array(ours.action) * slack
        beside_edge = np.abs(place - np.rint(place)) <= edge
        if moved.max() == 1 and beside_edge[moved > 0].all() and not any(shifts):
            borderline_from = step
        shifts.append(int(moved.max()))
    return _Parting(tuple(shifts), borderline_from)


def _lead(step: StepTrace, answer: int) -> float:
    """How much likelier a step's answer is than another one."""
    logits = step.logits.astype(np.float64)
    return step.confidence * (1 - float(np.exp(logits[answer] - logits[step.class_index])))
