"""What happened to one image, step by step.  Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class StepTrace:
    """One step of one image.

    Attributes:
        step: 1 .. T; 1 is the glance.
        action: the policy's (row, col) in [0, 1]; ``None`` for the glance.
        origin: the patch's top-left pixel (row, col); ``None`` for the glance.
        logits: float32 [num_classes].
        confidence: largest softmax probability.
        class_index: the class it belongs to.
        seconds: time that the step took; in a batch, its share of the batch's time.
    """

    step: int
    action: tuple[float, float] | None
    origin: tuple[int, int] | None
    logits: np.ndarray
    confidence: float
    class_index: int
    seconds: float


@dataclass(frozen=True)
class Trace:
    """All steps of one image, the last of which gave the answer.

    Attributes:
        image: what the image is called, usually its path.
        steps: the steps that were run, at least one.
    """

    image: str
    steps: tuple[StepTrace, ...]

    @property
    def exit_step(self) -> int:
        """The step (1 .. T) at which the image stopped."""
        return self.steps[-1].step

    @property
    def class_index(self) -> int:
        return self.steps[-1].class_index

    @property
    def confidence(self) -> float:
        return self.steps[-1].confidence

    def to_dict(self, labels: Sequence[str] | None = None, *, logits: bool = False) -> dict[str, Any]:
        """The trace as JSON-ready values, as ``gfnet predict --json`` writes it.

        Args:
            labels: class names; without them a class is called by its index.
            logits: include every step's logits.
        """
        return {
            "image": self.image,
            "class_index": self.class_index,
            "label": label_of(self.class_index, labels),
            "confidence": self.confidence,
            "exit_step": self.exit_step,
            "steps": [
                {
                    "step": step.step,
                    "action": step.action and list(step.action),
                    "origin": step.origin and list(step.origin),
                    "class_index": step.class_index,
                    "confidence": step.confidence,
                    **({"logits": [float(v) for v in step.logits]} if logits else {}),
                }
                for step in self.steps
            ],
        }


def label_of(class_index: int, labels: Sequence[str] | None) -> str:
    """A class's name, or its index where names are unknown."""
    return labels[class_index] if labels else str(class_index)


def most_likely(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of the largest of ``logits`` [B,C], int64 [B], and its softmax probability [B], in their dtype.

    Logits must be finite; see :func:`gfnet.inference.finite.check_finite`.
    """
    with np.errstate(over="ignore"):  # a class that is further below than the dtype can say has no probability
        below = logits - logits.max(axis=1, keepdims=True)
    return logits.argmax(axis=1), 1 / np.exp(below, out=below).sum(axis=1)  # exp(0) is the largest term
