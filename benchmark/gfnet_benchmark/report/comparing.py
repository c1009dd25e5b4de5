"""Results of several runs side by side, and whether one became slower.

Ratios to the baseline within each run are compared, never times across machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gfnet.errors import DataError
from gfnet.escaping import Lines
from gfnet.results.schema import Ratio, Result, Subject, cumulative_latency
from gfnet_benchmark.report.tables import aligned, ratio_text
from gfnet_benchmark.results.curves import exits_text
from gfnet_benchmark.results.doubts import doubts


@dataclass(frozen=True)
class Change:
    """How the same thing's ratio to the baseline changed from one run to another.

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

    Own exits are left out: other images, or thresholds, would change them without any step having become slower.

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


def change_table(found: Sequence[Change], limit: float) -> Lines:
    """Changes as lines of text; those above ``limit`` are marked."""
    rows = [("ratio to the baseline of the same run", "old", "new", "new / old", "")]
    for change in found:
        mark = "SLOWER" if change.factor > limit else ""
        rows.append((change.what, ratio_text(change.old), ratio_text(change.new), f"{change.factor:.3f}", mark))
    return aligned(rows)


def comparison_table(results: Sequence[tuple[str, Result]]) -> Lines:
    """Devices, units and precisions side by side, a row each."""
    steps = max(len(subject.stops) for _, result in results for subject in result.subjects)
    head = ("result", "subject", "device", "units", "threads", "precision")
    lengths = (f"{step} step{'s' * (step > 1)} ms" for step in range(1, steps + 1))
    rows: list[tuple[str, ...]] = [(*head, *lengths, "own exits ms", "exits %", "of its baseline [95 %]", "")]
    for label, result in results:
        mark = "unreliable" if doubts(result) else ""
        for subject in result.subjects:
            network = subject.kind == "network"
            # Of a baseline what ratios are to.
            times = cumulative_latency(subject) if network else (subject.loop.typical_ms,)
            stops = [f"{ms:.3f}" for ms in times]
            rows.append(
                (
                    label,
                    subject.name,
                    result.machine.device,
                    subject.runtime.compute_units,
                    str(subject.runtime.threads or ""),
                    subject.precision,
                    *stops,
                    *[""] * (steps - len(stops)),
                    f"{subject.loop.typical_ms:.3f}" if network else "",
                    exits_text(subject.loop.exit_distribution) if network else "",
                    ratio_text(subject.loop.ratio),
                    mark,
                )
            )
    return aligned(rows, left=len(head))


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
