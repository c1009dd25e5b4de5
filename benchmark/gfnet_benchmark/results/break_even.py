"""How many images must stop early for a network to beat its baseline."""

from __future__ import annotations

from collections.abc import Sequence

from gfnet.results.schema import Result, Subject, cumulative_latency


def break_even(cumulative_ms: Sequence[float], reference_ms: float) -> tuple[float | None, ...]:
    """For each step but the last: the share of images that must stop there, if all others run every step.

    Args:
        cumulative_ms: of sequences of 1 .. T steps.
        reference_ms: of the baseline.

    Returns:
        T - 1 shares, 0 .. 1: 0 where even running all steps is cheaper; ``None`` where no share is enough, since the
        step itself comes too late.
    """
    last = cumulative_ms[-1]
    shares: list[float | None] = []
    for latency in cumulative_ms[:-1]:
        if last <= reference_ms:
            shares.append(0.0)
        elif latency >= reference_ms:
            shares.append(None)
        else:
            shares.append((last - reference_ms) / (last - latency))
    return tuple(shares)


def shares_to_beat(result: Result, subject: Subject) -> tuple[float | None, ...]:
    """:func:`break_even` of a measured network against its reference; empty where it has none."""
    if subject.reference is None:
        return ()
    return break_even(cumulative_latency(subject), result.subject(subject.reference).loop.typical_ms)
