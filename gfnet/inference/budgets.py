"""What was measured of a network, as stored in checkpoints and bundles."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gfnet.files.fields import NotNegative, Percent, PerStep, Share
from gfnet.limits import MOST_BUDGETS, MOST_STEPS

_LARGEST = sys.float_info.max


def _check(name: str, values: Iterable[float], least: float = -_LARGEST, most: float = _LARGEST) -> None:
    """Raise :class:`ValueError` unless all values are finite and in a range."""
    for value in values:
        if not least <= value <= most:
            raise ValueError(f"{name} is {value}, which is not possible")


@dataclass(frozen=True)
class BudgetPoint:
    """One set of thresholds, and what it was measured to give.

    Attributes:
        budget: average multiply-adds per image on the split that the thresholds were found on.
        thresholds: an image stops at the first step whose confidence reaches its threshold; a value
            above 1 stops no image, and the last step stops all.
        top1: accuracy in percent on the evaluated split, ``None`` where labels were unknown.
        mean_macs: average multiply-adds per image on the evaluated split.
        exit_distribution: fraction of images that stopped at each step; empty where unknown.

    Raises:
        ValueError: a value is not possible.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # where it is part of a file

    budget: NotNegative
    thresholds: PerStep[float]
    top1: Percent | None
    mean_macs: NotNegative
    exit_distribution: PerStep[Share]

    def __post_init__(self) -> None:
        steps = len(self.thresholds)
        if len(self.exit_distribution) not in (0, steps):
            raise ValueError(f"exit_distribution has {len(self.exit_distribution)} values for {steps} steps")
        _check("budget", [self.budget], least=0)
        _check("thresholds", self.thresholds)
        _check("top1", [] if self.top1 is None else [self.top1], least=0, most=100)
        _check("mean_macs", [self.mean_macs], least=0)
        _check("exit_distribution", self.exit_distribution, least=0, most=1)

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

    Raises:
        ValueError: a value is not possible, or the numbers of values do not fit the steps.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # where it is part of a file

    images: int
    macs: tuple[float, ...]
    anytime_top1: tuple[float, ...]
    budgeted: tuple[BudgetPoint, ...]

    def __post_init__(self) -> None:
        steps = len(self.macs)
        if not 1 <= steps <= MOST_STEPS or len(self.budgeted) > MOST_BUDGETS:
            raise ValueError(f"results of {steps} steps and {len(self.budgeted)} budgets")
        if len(self.anytime_top1) != steps:
            raise ValueError(f"anytime_top1 has {len(self.anytime_top1)} values for {steps} steps")
        if any(len(point.thresholds) != steps for point in self.budgeted):
            raise ValueError(f"a budget must have {steps} thresholds")
        _check("images", [self.images], least=0, most=2**53)
        _check("macs", self.macs, least=0)
        _check("anytime_top1", self.anytime_top1, least=0, most=100)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """The inverse of ``dataclasses.asdict``."""
        return cls(
            int(values["images"]),
            tuple(float(v) for v in values["macs"]),
            tuple(float(v) for v in values["anytime_top1"]),
            tuple(BudgetPoint.from_dict(point) for point in values["budgeted"]),
        )
