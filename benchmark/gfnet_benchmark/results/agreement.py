"""Whether the same network says the same in two runs: on two runtimes, in two precisions, on two devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from gfnet.results.schema import Answer, Result, Subject


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


def _answers(subject: Subject) -> dict[str, Answer]:
    images = Counter(answer.image for answer in subject.loop.answers)
    return {answer.image: answer for answer in subject.loop.answers if images[answer.image] == 1}
