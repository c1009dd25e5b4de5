"""Running means over iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gfnet.training.learner import IterationResult, added


@dataclass
class Totals:
    """Sums over some iterations, weighted by their images; all of them survive a round through JSON exactly."""

    images: int = 0
    loss: float = 0.0
    correct: list[float] = field(default_factory=list)
    classifier_losses: list[float] = field(default_factory=list)
    encoder_losses: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, result: IterationResult) -> None:
        """Count one iteration."""
        self.images += result.images
        self.loss += result.loss * result.images
        self.correct = added(self.correct, result.correct)
        self.classifier_losses = added(self.classifier_losses, _times(result.classifier_losses, result.images))
        self.encoder_losses = added(self.encoder_losses, _times(result.encoder_losses, result.images))
        self.rewards = added(self.rewards, _times(result.rewards, result.images))

    def means(self) -> dict[str, Any]:
        """Mean loss, accuracy in percent, and whatever else the stage has; nothing without images."""
        if not self.images:
            return {}
        means: dict[str, Any] = {
            "images": self.images,
            "loss": self.loss / self.images,
            "top1": _times(self.correct, 100 / self.images),
        }
        for name in ("classifier_losses", "encoder_losses", "rewards"):
            if getattr(self, name):
                means[name] = _times(getattr(self, name), 1 / self.images)
        return means

    def describe(self) -> str:
        """Loss and accuracies for a progress line."""
        means = self.means()
        if not means:
            return ""
        return f"loss {means['loss']:.3f}, training top-1 {' '.join(f'{value:.1f}' for value in means['top1'])} %"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Totals:
        """The inverse of :meth:`to_dict`."""
        return cls(**values)


def _times(values: Sequence[float], factor: float) -> list[float]:
    return [value * factor for value in values]
