"""Thresholds, and the network, that give most accuracy within a latency on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gfnet.errors import BudgetError, DataError
from gfnet.inference.budgets import BudgetPoint
from gfnet.inference.exits import ALWAYS, NEVER
from gfnet.results.files import read_result, split_source
from gfnet.results.schema import Subject, cumulative_latency
from gfnet_benchmark.measure.targets import network_name, precision_name
from gfnet_export.bundle.reader import is_bundle, open_bundle


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


def open_candidates(networks: Sequence[Path], devices: Sequence[str]) -> tuple[Candidate, ...]:
    """Each network with its stored accuracies and its latencies on the device.

    Args:
        networks: checkpoints or bundles.
        devices: results of one device; ``FILE#NAME`` takes one subject of it only.

    Raises:
        DataError: the results are of several devices, do not measure a network, or measure it in several forms.
        GFNetError: a network cannot be read.
    """
    names: set[str] = set()
    measured: list[Subject] = []
    for source in devices:
        path, name = split_source(source)
        result = read_result(path)
        names.add(result.machine.device)
        measured += [result.subject(name)] if name else result.networks
    if len(names) > 1:
        raise DataError(f"results of several devices: {', '.join(sorted(names))}; give those of one")
    return tuple(_candidate(path, measured) for path in networks)


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


def _candidate(path: Path, measured: Sequence[Subject]) -> Candidate:
    points: tuple[BudgetPoint, ...]
    anytime: tuple[float, ...]
    if is_bundle(path):
        manifest = open_bundle(path).manifest
        network = network_name(manifest)
        points, anytime = manifest.budgets, manifest.anytime_top1
        precision = precision_name(manifest)
        form = f"{network} {precision} {manifest.layout}"
        found = [
            subject
            for subject in measured
            if (subject.network, subject.precision, subject.layout) == (network, precision, manifest.layout)
        ]
    else:
        from gfnet.checkpoint import load_checkpoint

        loaded = load_checkpoint(path)
        network = form = loaded.model.config.name
        evaluation = loaded.evaluation
        points, anytime = (evaluation.budgeted, evaluation.anytime_top1) if evaluation is not None else ((), ())
        found = [subject for subject in measured if subject.network == network]
    if len(found) == 1:
        return Candidate(str(path), points, anytime, cumulative_latency(found[0]))
    told = ", ".join(
        f"{subject.name} ({subject.network} {subject.precision} {subject.layout})" for subject in found or measured
    )
    if not found:
        raise DataError(f"{path}: is {form}, but the results measure {told or 'no network'}; measure this one there")
    raise DataError(f"{path}: {form} was measured as {told}; give one of them, by #NAME behind a result")


def _schedule(candidate: Candidate, thresholds: tuple[float, ...], exits: tuple[float, ...], top1: float) -> Schedule:
    mean_ms = sum(share * ms for share, ms in zip(exits, candidate.cumulative_ms, strict=True))
    return Schedule(candidate, thresholds, exits, mean_ms, top1)
