"""The adaptive loop: step by step, each image only as far as it must.

One loop for every runtime.  It knows nothing of torch or ONNX Runtime: a :class:`StepRunner` does the
steps, the loop decides who stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from gfnet.config import Interpolation
from gfnet.geometry import patch_origins
from gfnet.traces import StepTrace, Trace, softmax


class StepRunner(Protocol):
    """The three step functions of one network on some runtime.

    ``state`` is the runner's own; the loop only passes it on.  Arrays are numpy on the host.
    ``interpolation`` is that of the resize from image to glance.
    """

    steps: int
    image_size: int
    patch_size: int
    interpolation: Interpolation

    def glance(self, pixels: np.ndarray) -> tuple[np.ndarray, Any]:
        """Step 1 on pixels uint8 [B,S,S,3]: logits float32 [B,num_classes] and the state."""

    def propose(self, state: Any) -> tuple[np.ndarray, Any]:
        """Actions float32 [B,2] and the state."""

    def focus(self, origins: np.ndarray, state: Any, step: int) -> tuple[np.ndarray, Any]:
        """Step ``step`` (2 .. T) on the patches at ``origins`` int64 [B,2]: logits and the state."""

    def select(self, state: Any, keep: np.ndarray) -> Any:
        """The state of the images that ``keep`` bool [B] picks."""


def classify(
    runner: StepRunner,
    pixels: np.ndarray,
    thresholds: Sequence[float] | None,
    names: Sequence[str],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Trace]:
    """Classify a batch; images leave it as soon as they are sure, so its work shrinks.

    Args:
        pixels: uint8 [B,S,S,3], preprocessed.
        thresholds: T values: an image stops at the first step whose confidence reaches its threshold;
            the last step takes everyone.  ``None`` runs all steps.
        names: B names for the traces.
        clock: seconds, monotonic.

    Returns:
        B traces in the order of ``pixels``.
    """
    limits = [np.inf] * runner.steps if thresholds is None else list(thresholds)
    histories: list[list[StepTrace]] = [[] for _ in names]
    active = np.arange(len(names))
    start = clock()
    logits, state = runner.glance(pixels)
    actions: np.ndarray | None = None
    origins: np.ndarray | None = None
    for step in range(1, runner.steps + 1):
        if step > 1:
            actions, state = runner.propose(state)
            origins = patch_origins(actions, runner.image_size, runner.patch_size)
            logits, state = runner.focus(origins, state, step)
        probabilities = softmax(logits)
        best = probabilities.argmax(axis=1)
        confidence = probabilities[np.arange(len(best)), best]
        now = clock()
        share, start = (now - start) / len(active), now
        for row, image in enumerate(active):
            histories[image].append(
                StepTrace(
                    step=step,
                    action=None if actions is None else (float(actions[row, 0]), float(actions[row, 1])),
                    origin=None if origins is None else (int(origins[row, 0]), int(origins[row, 1])),
                    logits=logits[row],
                    confidence=float(confidence[row]),
                    class_index=int(best[row]),
                    seconds=share,
                )
            )
        unsure = confidence < np.float32(limits[step - 1])
        if step == runner.steps or not unsure.any():
            break
        if not unsure.all():
            active, state = active[unsure], runner.select(state, unsure)
    return [Trace(name, tuple(history)) for name, history in zip(names, histories, strict=True)]
