"""ONNX Runtime's settings tried on each contender, so that each runs with its best."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from gfnet.inference.adaptive import classify
from gfnet.inference.images import load_image
from gfnet.results.schema import Tried
from gfnet_benchmark.measure.interleaving import Probe, interleave
from gfnet_benchmark.measure.statistics import typical
from gfnet_benchmark.measure.subjects import Contender, Entry, Settings, open_contender
from gfnet_benchmark.measure.timing import Clock

ROUNDS = 5
OPTIMISATIONS: tuple[Literal["all", "extended"], ...] = ("all", "extended")


def with_best_settings(entry: Entry, photos: Sequence[Path], clock: Clock) -> Entry:
    """The entry with the settings under which it takes least time for all steps, and what the others took.

    Graph optimisations, and whether threads spin where there are several; the number of threads is the entry's.

    Args:
        photos: a few, which can be read.
    """
    threads = entry.settings.threads
    candidates = [
        dataclasses.replace(entry.settings, optimisation=optimisation, spinning=spinning)
        for optimisation, spinning in itertools.product(OPTIMISATIONS, (True, False) if threads > 1 else (True,))
    ]
    opened = [open_contender(dataclasses.replace(entry, settings=settings), clock) for settings in candidates]
    squares = [opened[0].description.preprocessing(load_image(photo))[None] for photo in photos]
    probes = [_probe(contender, str(number), squares) for number, contender in enumerate(opened)]
    times = interleave(probes, len(squares), rounds=ROUNDS, clock=clock, title=f"settings of {entry.name}")
    took = [1e3 * typical(times.seconds[probe.name]) for probe in probes]
    tried = tuple(Tried(settings=one.named(), typical_ms=ms) for one, ms in zip(candidates, took, strict=True))
    best: Settings = candidates[int(np.argmin(took))]
    return dataclasses.replace(entry, settings=best, tried=tried)


def _probe(contender: Contender, name: str, squares: Sequence[np.ndarray]) -> Probe:
    return Probe(name, lambda image: classify(contender.runner, squares[image], None, [""]))
