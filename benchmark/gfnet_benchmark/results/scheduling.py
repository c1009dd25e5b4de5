"""Thresholds, and the network, that give most accuracy within a latency on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gfnet.errors import BudgetError
from gfnet.inference.budgets import BudgetPoint
from gfnet.inference.exits import ALWAYS, NEVER


@dataclass(frozen=True)
class Candidate:
    """A network that could be run.

    Attributes:
        name: what to call it.
        points: its stored sets of thresholds.
        anytime_top1: percent, if all images stop after step 1 .. T; empty where unknown.
        cumulative_ms: latency on the device of sequences of 1 .. T steps.
    """

    name: str
    points: tuple[BudgetPoint, ...]
    anytime_top1: tuple[float, ...]
    cumulative_ms: tuple[float, ...]


@dataclass(frozen=True)
class Schedule:
    """One way to run a candidate.

    Attributes:
        mean_ms: expected on the device, with the exits of the split that the network was evaluated on.
        top1: percent, there.
    """

    candidate: Candidate
    thresholds: tuple[float, ...]
    exit_distribution: tuple[float, ...]
    mean_ms: float
    top1: float


def schedules(candidate: Candidate) -> tuple[Schedule, ...]:
    """Every way that is known of running a candidate, cheapest first: by its thresholds, or stopping all images alike.

    Raises:
        BudgetError: nothing is known of its accuracy.
    """
    steps = len(candidate.cumulative_ms)
    known = (candidate.anytime_top1, *(point.exit_distribution for point in candidate.points))
    if any(len(values) not in (0, steps) for values in known):
        raise BudgetError(f"{candidate.name}: its accuracies are not those of {steps} steps; evaluate it again")
    found = [
        _schedule(candidate, point.thresholds, point.exit_distribution, point.top1)
        for point in candidate.points
        if point.top1 is not None and point.exit_distribution
    ]
    for step, top1 in enumerate(candidate.anytime_top1, start=1):
        thresholds = (NEVER,) * (step - 1) + (ALWAYS,) * (steps - step + 1)
        exits = tuple(float(other == step) for other in range(1, steps + 1))
        found.append(_schedule(candidate, thresholds, exits, top1))
    if not found:
        raise BudgetError(
            f"{candidate.name}: no accuracy is stored with it; run `gfnet evaluate` on the checkpoint with `--save`"
        )
    return tuple(sorted(found, key=lambda schedule: schedule.mean_ms))


def best_schedule(candidates: Sequence[Candidate], target_ms: float) -> tuple[Schedule, tuple[Schedule | None, ...]]:
    """The most accurate way to stay within a mean latency; of equally accurate ones the fastest.

    Returns:
        The best of all, and each candidate's own best; ``None`` where a candidate is too slow.

    Raises:
        BudgetError: none of them is fast enough, or nothing is known of one's accuracy.
    """
    everything = [schedules(candidate) for candidate in candidates]
    own = tuple(
        max((one for one in found if one.mean_ms <= target_ms), key=lambda one: (one.top1, -one.mean_ms), default=None)
        for found in everything
    )
    able = [schedule for schedule in own if schedule is not None]
    if not able:
        cheapest = min((found[0] for found in everything), key=lambda schedule: schedule.mean_ms)
        raise BudgetError(
            f"{target_ms:g} ms is too little: the fastest is {cheapest.candidate.name} with {cheapest.mean_ms:.3g} ms"
        )
    return max(able, key=lambda schedule: (schedule.top1, -schedule.mean_ms)), own


def _schedule(candidate: Candidate, thresholds: tuple[float, ...], exits: tuple[float, ...], top1: float) -> Schedule:
    mean_ms = sum(share * ms for share, ms in zip(exits, candidate.cumulative_ms, strict=True))
    return Schedule(candidate, thresholds, exits, mean_ms, top1)
