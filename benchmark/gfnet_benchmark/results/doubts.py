"""Reasons not to trust a measured run."""

from __future__ import annotations

import numpy as np

from gfnet.results.doubts import DoubtCode
from gfnet.results.schema import Doubt, Result, Subject, doubt

WIDEST_INTERVAL = 0.03
"""Half the width of a ratio's interval, as a share of it."""
LARGEST_DRIFT = 0.10
"""By which the last third of the rounds may be slower or faster than the first."""
LARGEST_GAP = 0.03
"""Between measured and modelled mean latency."""
FEWEST_SAMPLES = 20
_HOT = frozenset({"serious", "critical"})


def doubts(result: Result) -> tuple[str, ...]:
    """Why a result is not to be relied on, one sentence a reason; empty if there is none.

    Those that were written with it, and those that its numbers and its machine's state give away.
    """
    found = (*result.unreliable, *_of_conditions(result), *_of_numbers(result))
    return tuple(dict.fromkeys(map(str, found)))


def _of_conditions(result: Result) -> list[Doubt]:
    conditions, found = result.conditions, []
    hot = [round_ for round_, state in enumerate(conditions.thermal_states, start=1) if state.lower() in _HOT]
    if hot:
        state, rounds = conditions.thermal_states[hot[0] - 1], len(conditions.thermal_states)
        found.append(doubt(DoubtCode.THROTTLED, state=state, round=hot[0], rounds=rounds))
    if conditions.low_power_mode:
        found.append(doubt(DoubtCode.LOW_POWER))
    if conditions.interrupted:
        found.append(doubt(DoubtCode.INTERRUPTED))
    threads = max((subject.runtime.threads or 1) for subject in result.subjects)
    busy, cores = conditions.others_cores, result.machine.cores
    if busy is not None and cores is not None and busy > max(0.25, cores - threads - 0.5):
        found.append(doubt(DoubtCode.BUSY, busy=f"{busy:.1f}", cores=cores))
    return found


def _of_numbers(result: Result) -> list[Doubt]:
    found = []
    for subject in result.subjects:
        name, samples = subject.name, subject.loop.latency.count
        if samples < FEWEST_SAMPLES:
            found.append(doubt(DoubtCode.FEW_SAMPLES, subject=name, samples=samples, fewest=FEWEST_SAMPLES))
        drift = _drift(subject)
        if abs(drift) > LARGEST_DRIFT:
            code = DoubtCode.BECAME_SLOWER if drift > 0 else DoubtCode.BECAME_FASTER
            found.append(doubt(code, subject=name, percent=f"{100 * abs(drift):.0f}"))
        # Of all steps, which every image takes alike: images' own exits differ, which is no fault of the machine.
        ratio = subject.stops[-1].ratio
        if ratio is not None and (ratio.high - ratio.low) / 2 > WIDEST_INTERVAL * ratio.value:
            width = 100 * (ratio.high - ratio.low) / 2 / ratio.value
            found.append(
                doubt(DoubtCode.RATIO_UNCERTAIN, subject=name, percent=f"{width:.1f}")
                if width < 100
                else doubt(DoubtCode.RATIO_UNKNOWN, subject=name)
            )
        gap = measured_over_modelled(subject)
        if subject.kind == "network" and abs(gap - 1) > LARGEST_GAP:
            found.append(doubt(DoubtCode.MODEL_GAP, subject=name, factor=f"{gap:.3f}"))
    return found


def measured_over_modelled(subject: Subject) -> float:
    """Mean latency of images with their own exits over what the steps' latencies say; 1 where both are zero."""
    return subject.loop.typical_ms / subject.loop.modelled_ms if subject.loop.modelled_ms else 1.0


def _drift(subject: Subject) -> float:
    """By which share the last third of the rounds is slower than the first."""
    rounds = np.asarray(subject.loop.round_ms)
    third = len(rounds) // 3
    first = float(np.median(rounds[:third])) if third else 0.0
    return float(np.median(rounds[-third:])) / first - 1 if first else 0.0
