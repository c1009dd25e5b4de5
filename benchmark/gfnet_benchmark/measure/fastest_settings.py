"""ONNX Runtime's settings tried on each target, so that each runs with its fastest."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Literal

import numpy as np

from gfnet.inference.adaptive import StepRunner, classify
from gfnet.results.schema import Tried
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.runners import open_runners
from gfnet_benchmark.measure.statistics import typical
from gfnet_benchmark.measure.targets import Target
from gfnet_benchmark.measure.timing import WARMUP_IMAGES, Clock, TimedCall, interleave

ROUNDS = 5
OPTIMISATIONS: tuple[Literal["all", "extended"], ...] = ("all", "extended")


def with_fastest_settings(target: Target, photos: Photos, clock: Clock) -> Target:
    """The target with the settings under which it takes least time for all steps, and what the others took.

    Graph optimisations, and whether threads spin where there are several; the number of threads is the target's.
    """
    threads = target.settings.threads
    candidates = [
        dataclasses.replace(target.settings, optimisation=optimisation, spinning=spinning)
        for optimisation, spinning in itertools.product(OPTIMISATIONS, (True, False) if threads > 1 else (True,))
    ]
    squares = [square[None] for square in photos.first(WARMUP_IMAGES, target.preprocessing)]

    def all_steps(runner: StepRunner, name: str) -> TimedCall:
        return TimedCall(name, lambda image: classify(runner, squares[image], None, [""]))

    opened = [open_runners(target.path, settings, clock).plain for settings in candidates]
    calls = [all_steps(runner, str(number)) for number, runner in enumerate(opened)]
    times = interleave(calls, len(squares), rounds=ROUNDS, clock=clock, title=f"settings of {target.name}")
    took = [1e3 * typical(times.seconds[call.name]) for call in calls]
    tried = tuple(Tried(settings=one.named(), typical_ms=ms) for one, ms in zip(candidates, took, strict=True))
    return dataclasses.replace(target, settings=candidates[int(np.argmin(took))], tried=tried)
