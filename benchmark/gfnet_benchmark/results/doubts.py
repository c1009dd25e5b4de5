"""Reasons not to trust a measured run."""

from __future__ import annotations

import numpy as np

from gfnet.results.schema import Result, Subject

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
    return tuple(dict.fromkeys((*result.unreliable, *_of_conditions(result), *_of_numbers(result))))


def _of_conditions(result: Result) -> list[str]:
    conditions, found = result.conditions, []
    hot = [state for state in conditions.thermal_states if state.lower() in _HOT]
    if hot:
        first = next(i for i, state in enumerate(conditions.thermal_states) if state.lower() in _HOT)
        total = len(conditions.thermal_states)
        found.append(f"the device throttled: thermal state {hot[0]} from round {first + 1} of {total}; let it cool")
    if conditions.low_power_mode:
        found.append("low-power mode was on; switch it off")
    if conditions.interrupted:
        found.append("the program was put into the background; keep it in front")
    threads = max((subject.runtime.threads or 1) for subject in result.subjects)
    busy, cores = conditions.others_cores, result.machine.cores
    if busy is not None and cores is not None and busy > max(0.25, cores - threads - 0.5):
        found.append(f"other processes kept {busy:.1f} of {cores} cores busy; stop them")
    return found


def _of_numbers(result: Result) -> list[str]:
    found = []
    for subject in result.subjects:
        samples = subject.loop.latency.count
        if samples < FEWEST_SAMPLES:
            found.append(f"{subject.name}: {samples} times were taken, fewer than {FEWEST_SAMPLES}; take more")
        drift = _drift(subject)
        if abs(drift) > LARGEST_DRIFT:
            became = "slower" if drift > 0 else "faster"
            found.append(f"{subject.name}: became {100 * abs(drift):.0f} % {became} while it was measured")
        # Of all steps, which every image takes alike: images' own exits differ, which is no fault of the machine.
        ratio = subject.stops[-1].ratio
        if ratio is not None and (ratio.high - ratio.low) / 2 > WIDEST_INTERVAL * ratio.value:
            width = 100 * (ratio.high - ratio.low) / 2 / ratio.value
            known = f"known to {width:.1f} % only" if width < 100 else "not known"
            found.append(f"{subject.name}: its ratio is {known}; take more rounds")
        gap = measured_over_modelled(subject)
        if subject.kind == "network" and abs(gap - 1) > LARGEST_GAP:
            found.append(f"{subject.name}: the measured mean latency is {gap:.3f} times the modelled one")
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
