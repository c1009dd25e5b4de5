"""Measured runs compared: to an older run, to another runtime or device, and to the baseline of the same run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from gfnet.errors import DataError
from gfnet.results.schema import Answer, Ratio, Result, Subject, cumulative_latency


@dataclass(frozen=True)
class Change:
    """How a network's ratio to the baseline changed from one run to another.

    Ratios within each run are compared, never times across machines.

    Attributes:
        what: the subject, and which of its times.
        old, new: the ratios.
    """

    what: str
    old: Ratio
    new: Ratio

    @property
    def factor(self) -> float:
        """By which it became slower."""
        return self.new.value / self.old.value


def changes(old: Result, new: Result) -> tuple[Change, ...]:
    """Each network's ratios to the baseline, whole images stopped after every step, in both runs.

    Runs with own exits are left out: other images, or thresholds, would change them though no step became slower.

    Raises:
        DataError: a network of the old run is not in the new one, one has no baseline, or the baselines are not the
            same thing.
    """
    found = []
    for subject in old.networks:
        other = _same(subject, old, new)
        ours, theirs = (_reference(one, result) for one, result in ((subject, old), (other, new)))
        if (ours.network, ours.precision) != (theirs.network, theirs.precision):
            told = f"{ours.network} in {ours.precision}, then with {theirs.network} in {theirs.precision}"
            raise DataError(f"{subject.name} was compared with {told}; measure both with the same baseline")
        for before, after in zip(subject.stops, other.stops, strict=True):
            if before.ratio is not None and after.ratio is not None:
                what = f"{subject.name}, all stop after step {before.step}"
                found.append(Change(what, before.ratio, after.ratio))
    if not found:
        raise DataError("the old result has no network with a ratio to a baseline; measure it again with one")
    return tuple(found)


@dataclass(frozen=True)
class Agreement:
    """Two runs of one network, on the images that both classified.

    Attributes:
        first, second: their names.
        images: how many they share.
        same_label: percent of these with the same answer.
        same_exit: percent of these that stopped at the same step; ``None`` where thresholds differed.
    """

    first: str
    second: str
    images: int
    same_label: float
    same_exit: float | None


def agreements(results: Sequence[tuple[str, Result]]) -> tuple[Agreement, ...]:
    """Every pair of subjects that are one network and share images, in the order of the results.

    Args:
        results: labels and results; a subject is called by its result's label too if there are several.
    """
    several = len(results) > 1
    subjects = [
        (f"{subject.name} ({label})" if several else subject.name, subject)
        for label, result in results
        for subject in result.networks
    ]
    found = []
    for (first, one), (second, other) in combinations(subjects, 2):
        if one.network == other.network:
            ours, theirs = _answers(one), _answers(other)
            shared = sorted(ours.keys() & theirs.keys())
            if shared:
                pairs = [(ours[image], theirs[image]) for image in shared]
                found.append(
                    Agreement(
                        first,
                        second,
                        len(pairs),
                        100 * sum(a.class_index == b.class_index for a, b in pairs) / len(pairs),
                        100 * sum(a.exit_step == b.exit_step for a, b in pairs) / len(pairs)
                        if one.loop.thresholds == other.loop.thresholds
                        else None,
                    )
                )
    return tuple(found)


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


def _same(subject: Subject, old: Result, new: Result) -> Subject:
    """The other run's subject that is the same thing: by what it is, and by its name where several are."""
    alike = [other for other in new.networks if _identity(other) == _identity(subject)]
    if len(alike) > 1 or sum(_identity(other) == _identity(subject) for other in old.networks) > 1:
        alike = [other for other in alike if other.name == subject.name]
    if not alike:
        measured = ", ".join(f"{other.name}, {_identity(other)}" for other in new.networks) or "no network"
        raise DataError(f"{subject.name}, {_identity(subject)}, is not in the new result, which has {measured}")
    return alike[0]


def _identity(subject: Subject) -> str:
    threads = f", {subject.runtime.threads} threads" if subject.runtime.threads else ""
    units = f"{subject.runtime.name} on {subject.runtime.compute_units}{threads}"
    return f"{subject.network} {subject.precision} {subject.layout} ({units})"


def _reference(subject: Subject, result: Result) -> Subject:
    if subject.reference is None:
        raise DataError(f"{subject.name} was measured without a baseline; measure it again with one")
    return result.subject(subject.reference)


def _answers(subject: Subject) -> dict[str, Answer]:
    images = Counter(answer.image for answer in subject.loop.answers)
    return {answer.image: answer for answer in subject.loop.answers if images[answer.image] == 1}
