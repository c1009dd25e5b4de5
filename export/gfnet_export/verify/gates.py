"""What an exported network must reach, and when too few images were compared to tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gfnet_export.bundle.manifest import Manifest

Outcome = Literal["passed", "failed", "undecided"]

_CHANCE = 0.01
"""A share is below its gate if a network that just reaches it would show so many misses less often than this."""
_TIMES, _MOST_MISSES, _SEEN = 10, 0.5, 0.95
_MOST_NEEDED = 100_000


@dataclass(frozen=True)
class Gates:
    """What a runtime must reach; shares are of images, or of patches.

    Attributes:
        difference: largest difference of any output, over the largest value of that output.
        same_label: share of images with the same answer.
        same_exit: share that stop at the same step.
        near_patch: share of patches that lie at most ``shift`` away.
        borderline: how close torch's confidence must lie to a threshold, or to that of another answer, for rounding to
            decide.
        shift: of a patch that still shows the same, pixels along an axis: coarser numbers move it by one.
        edge: how close torch's action must lie to the edge between two pixels for rounding to decide on which side it
            falls; pixels.
    """

    difference: float
    same_label: float
    same_exit: float
    near_patch: float
    borderline: float
    shift: int = 1
    edge: float = 0.1


# float32: other kernels add in another order.  Nothing but what is borderline may differ, so one miss is too many; a
# patch is another one pixel further on too, unless its action lies where two pixels meet.
# float16: eleven bits in each of some hundred operations, and actions that are off by 5e-5 of the image.
_WEIGHTS_IN_8_BITS = Gates(difference=0.3, same_label=0.95, same_exit=0.95, near_patch=0.5, borderline=5e-3)
GATES: Mapping[str, Gates] = {
    "fp32": Gates(difference=1e-4, same_label=1.0, same_exit=1.0, near_patch=1.0, borderline=1e-5, shift=0, edge=0.02),
    "fp16": Gates(difference=0.05, same_label=0.995, same_exit=0.99, near_patch=0.95, borderline=2e-3),
    "int8-heads": Gates(difference=0.05, same_label=0.98, same_exit=0.98, near_patch=0.99, borderline=2e-3),
    # Squeeze-and-excite is rounded too, and with it the map that the policy reads: 93 % of patches stay on photos.
    "int8-vectors": Gates(difference=0.05, same_label=0.98, same_exit=0.98, near_patch=0.8, borderline=2e-3),
    # Coarser numbers make another network, which looks a few pixels elsewhere and whose worth is its accuracy; these
    # gates, and those below, tell it from a broken one.
    # A unit of the policy's memory, between -1 and 1, that changes sides is off by more than the largest value: by 1.1
    # on one of 296 photos.
    "int8": Gates(difference=1.5, same_label=0.85, same_exit=0.85, near_patch=0.0, borderline=5e-3),
    "int8-storage": _WEIGHTS_IN_8_BITS,
}
"""By precision."""
COMPRESSED_GATES: Mapping[str, Gates] = {
    "int8": _WEIGHTS_IN_8_BITS,
    "palette6": Gates(difference=0.5, same_label=0.85, same_exit=0.85, near_patch=0.1, borderline=5e-3),
    # A photo beyond the ranges seen in calibration is cut off: by up to half of the largest value, after 64 images.
    "w8a8": Gates(difference=0.75, same_label=0.85, same_exit=0.9, near_patch=0.1, borderline=5e-3),
    "palette4": Gates(difference=1.0, same_label=0.7, same_exit=0.7, near_patch=0.0, borderline=5e-3),
}
"""By compression of a Core ML package, where there is one."""


def gates_of(manifest: Manifest) -> Gates:
    """What a bundle must reach."""
    if manifest.compression == "none":
        return GATES[manifest.precision]
    return COMPRESSED_GATES[manifest.compression]


@dataclass(frozen=True)
class Share:
    """How many of some images, or patches, are as they should be, and how many must be.

    A share below its gate fails only where chance cannot explain it (exact binomial test, one-sided, 1 %).  One at or
    above its gate passes only after so many that a worse network would have shown a miss with 95 % probability: one
    that misses ten times as often as the gate allows, or half the time.  A gate of 1 allows no miss, so one fails it,
    however many were counted.

    Attributes:
        same: how many are.
        counted: how many were looked at.
        gate: share that must be.
    """

    same: int
    counted: int
    gate: float

    @property
    def value(self) -> float:
        """The share; 1 where there is nothing to count."""
        return self.same / self.counted if self.counted else 1.0

    @property
    def outcome(self) -> Outcome:
        if self.value < self.gate:
            return "failed" if self._is_significant() else "undecided"
        return "passed" if not self.counted or self.counted >= self._enough else "undecided"

    @property
    def needed(self) -> int:
        """About how many would tell, if the share stayed what it is; at most :data:`_MOST_NEEDED`."""
        if self.value >= self.gate:
            return self._enough
        times = 2
        while times * self.counted < _MOST_NEEDED and not self._is_significant(times):
            times *= 2
        return min(times * self.counted, _MOST_NEEDED)

    def _is_significant(self, times: int = 1) -> bool:
        """Whether so many misses, in ``times`` as many, are more than chance gives a network that reaches the gate."""
        misses = self.counted - self.same
        return _chance_of(times * misses, times * self.counted, 1 - self.gate) < _CHANCE

    @property
    def _enough(self) -> int:
        misses = min(_TIMES * (1 - self.gate), _MOST_MISSES)
        return math.ceil(math.log(1 - _SEEN) / math.log(1 - misses)) if misses else 1


def _chance_of(misses: int, counted: int, rate: float) -> float:
    """Probability of at least so many misses among ``counted``, at a true ``rate`` of them."""
    if misses <= 0:
        return 1.0
    if rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    total = math.lgamma(counted + 1)
    fewer = (
        math.exp(
            total
            - math.lgamma(found + 1)
            - math.lgamma(counted - found + 1)
            + found * math.log(rate)
            + (counted - found) * math.log1p(-rate)
        )
        for found in range(misses)
    )
    return max(0.0, 1.0 - math.fsum(fewer))
