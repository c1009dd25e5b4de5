"""What was measured of a network, as stored in checkpoints and bundles.  Needs nothing but Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BudgetPoint:
    """One set of thresholds, and what it was measured to give.

    Attributes:
        budget: average multiply-adds per image on the split that the thresholds were found on.
        thresholds: one per step; :data:`gfnet.exits.NEVER` where nobody exits, :data:`gfnet.exits.ALWAYS` last.
        top1: accuracy in percent on the evaluated split, ``None`` where labels were unknown.
        mean_macs: average multiply-adds per image on the evaluated split.
        exit_distribution: fraction of images that stopped at each step.
    """

    budget: float
    thresholds: tuple[float, ...]
    top1: float | None
    mean_macs: float
    exit_distribution: tuple[float, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BudgetPoint:
        """The inverse of ``dataclasses.asdict``."""
        return cls(
            float(values["budget"]),
            tuple(float(v) for v in values["thresholds"]),
            None if values["top1"] is None else float(values["top1"]),
            float(values["mean_macs"]),
            tuple(float(v) for v in values["exit_distribution"]),
        )


@dataclass(frozen=True)
class Evaluation:
    """What a network achieves on one split; stored in checkpoints and bundles.

    Attributes:
        images: number of images evaluated.
        macs: cumulative multiply-adds of sequences of 1 .. T steps.
        anytime_top1: accuracy in percent after each step, if all images stopped there.
        budgeted: thresholds for every budget, cheapest first, with what they give.
    """

    images: int
    macs: tuple[float, ...]
    anytime_top1: tuple[float, ...]
    budgeted: tuple[BudgetPoint, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """The inverse of ``dataclasses.asdict``."""
        return cls(
            int(values["images"]),
            tuple(float(v) for v in values["macs"]),
            tuple(float(v) for v in values["anytime_top1"]),
            tuple(BudgetPoint.from_dict(point) for point in values["budgeted"]),
        )
