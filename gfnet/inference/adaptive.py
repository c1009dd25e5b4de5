"""The adaptive loop: step by step, each image only as far as it must.

One loop for every runtime.  It knows nothing of torch or ONNX Runtime: a :class:`StepRunner` does the
steps, the loop decides who stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import Any, Protocol

import numpy as np

from gfnet.config import Interpolation
from gfnet.inference.finite import check_finite
from gfnet.inference.geometry import patch_origins
from gfnet.inference.traces import StepTrace, Trace, most_likely


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
            the last step stops all images.  ``None`` runs all steps.
        names: B names for the traces.
        clock: seconds, monotonic.

    Returns:
        B traces in the order of ``pixels``.

    Raises:
        NetworkError: logits or an action are NaN or infinite.
    """
    histories: list[list[StepTrace]] = [[] for _ in names]
    for _ in walk(runner, pixels, thresholds, names, histories, clock=clock):
        pass
    return [Trace(name, tuple(history)) for name, history in zip(names, histories, strict=True)]


def walk(
    runner: StepRunner,
    pixels: np.ndarray,
    thresholds: Sequence[float] | None,
    names: Sequence[str],
    histories: Sequence[list[StepTrace]],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[int]:
    """The loop of :func:`classify`, one step each time it is asked to go on.

    Whoever drops it drops the runner's state.  The time between two steps counts for none.

    Args:
        names: B names, for errors.
        histories: B lists; an image's steps are appended to its list.

    Yields:
        The step (2 .. T) that comes next, while there is an image that is not sure enough.

    Raises:
        NetworkError: logits or an action are NaN or infinite.
    """
    limits = [np.inf] * runner.steps if thresholds is None else thresholds
    active = list(zip(names, histories, strict=True))
    start = clock()
    logits, state = runner.glance(pixels)
    actions: np.ndarray | None = None
    origins: np.ndarray | None = None
    for step in range(1, runner.steps + 1):
        if step > 1:
            start = clock()
            actions, state = runner.propose(state)
            check_finite(actions, f"step {step}", "actions", [name for name, _ in active])
            origins = patch_origins(actions, runner.image_size, runner.patch_size)
            logits, state = runner.focus(origins, state, step)
        check_finite(logits, f"step {step}", "logits", [name for name, _ in active])
        best, confidence = most_likely(logits)
        share = (clock() - start) / len(active)
        for row, (_, history) in enumerate(active):
            history.append(
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
        if step == runner.steps:
            return
        unsure = confidence < np.float32(limits[step - 1])
        left = np.count_nonzero(unsure)
        if not left:
            return
        if left < len(active):
            active, state = list(compress(active, unsure)), runner.select(state, unsure)
        yield step + 1
