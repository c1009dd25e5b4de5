"""Contenders timed side by side on the same images: what took how long, and what was answered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from gfnet.errors import DataError, ImageError
from gfnet.inference.adaptive import classify
from gfnet.inference.exits import ALWAYS, resolve_thresholds
from gfnet.inference.images import Preprocessing, load_image
from gfnet.inference.traces import Trace
from gfnet_benchmark.measure.interleaving import Probe, interleave
from gfnet_benchmark.measure.subjects import Contender, Description, Entry, open_contender
from gfnet_benchmark.measure.timing import Clock

_EMPTY = "an empty call"


@dataclass(frozen=True)
class Stopping:
    """When images may stop, as a person asked for it; see :func:`gfnet.inference.exits.resolve_thresholds`."""

    all_steps: bool = False
    thresholds: str | None = None
    budget: str | None = None

    def of(self, contender: Contender) -> tuple[float, ...] | None:
        """A contender's thresholds; ``None`` runs all steps."""
        if contender.description.kind == "classifier":
            return None
        return resolve_thresholds(
            contender.description.points,
            contender.runner.steps,
            all_steps=self.all_steps,
            thresholds=self.thresholds,
            budget=self.budget,
        )


STORED = Stopping()
"""By each network's stored thresholds that are most accurate; all steps where it has none."""


@dataclass(frozen=True)
class Answers:
    """What a contender said of N images.

    Attributes:
        thresholds: under which images stopped by themselves; ``None``: all steps were run.
        exits: the step (1 .. T) after which each stopped, int64 [N].
        classes: the class after every step, int64 [T,N].
        confidence: float64 [T,N].
    """

    thresholds: tuple[float, ...] | None
    exits: np.ndarray
    classes: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class Measured:
    """One contender's part of a run.

    Attributes:
        own: seconds of whole images with their own exits, float64 [rounds,N].
        stopped: of whole images stopped after each step, float64 [T,rounds,N].
        calls: of each subgraph's calls where all steps are run, float64 [rounds,N,calls], by name.
        preprocessing_s: decoding and cutting one image, seconds.
    """

    description: Description
    answers: Answers
    own: np.ndarray
    stopped: np.ndarray
    calls: dict[str, np.ndarray]
    preprocessing_s: float


@dataclass(frozen=True)
class Run:
    """Everything that was timed together.

    Attributes:
        measured: by contender's name, in order.
        images: those that could be read.
        unreadable: messages for the others.
        process: the number of the process that each round ran in, int64 [rounds].
        empty: seconds of a call that does nothing, float64 [rounds,N].
        warmup_rounds: before the first measured one; of several processes the most.
        steady: whether times no longer fell then, in every process.
    """

    measured: dict[str, Measured]
    images: tuple[Path, ...]
    unreadable: tuple[str, ...]
    process: np.ndarray
    empty: np.ndarray
    warmup_rounds: int
    steady: bool


def measure(
    entries: Sequence[Entry],
    images: Sequence[Path],
    *,
    stopping: Stopping,
    rounds: int,
    processes: int = 1,
    clock: Clock = time.perf_counter,
) -> Run:
    """Time every entry on every image in every round, interleaved; see :mod:`gfnet_benchmark.measure.interleaving`.

    Where memory happens to lie makes one process some percent faster than the next, and weights more than
    arithmetic: rounds of several processes average that out.

    Args:
        rounds: of all processes together.
        processes: new ones, one after another, that share the rounds; 1 measures in this process.
        clock: of this process.

    Raises:
        DataError: no image can be read, or entries know different classes.
        BundleError: an entry cannot be opened.
    """
    if processes == 1:
        return _measure(entries, images, stopping, rounds, 0, clock)
    parts = []
    for number in range(processes):
        share = rounds // processes + (number < rounds % processes)
        parts.append(_in_a_new_process(entries, images, stopping, share, number))
    return _joined(parts)


def _in_a_new_process(*arguments: Any) -> Run:
    """:func:`_measure` in a process of its own, which does not outlive this call."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        found = receiver.recv()
    except EOFError:
        raise DataError("a measuring process ended without a result; is there enough free memory?") from None
    finally:
        process.terminate()
        process.join()
    if isinstance(found, Exception):
        raise found
    return found


def _send(sender: Connection, arguments: Sequence[Any]) -> None:
    found: Run | Exception
    try:
        found = _measure(*arguments)
    except Exception as error:  # reported to the caller
        found = error
    sender.send(found)


def _measure(
    entries: Sequence[Entry],
    images: Sequence[Path],
    stopping: Stopping,
    rounds: int,
    seed: int,
    clock: Clock = time.perf_counter,
) -> Run:
    contenders = [open_contender(entry, clock) for entry in entries]
    _check_classes(contenders)
    photos = _Photos(images, [contender.description.preprocessing for contender in contenders], clock)
    lanes = [_Lane(contender, photos, stopping.of(contender)) for contender in contenders]
    probes = [probe for lane in lanes for probe in lane.probes]

    def begin() -> None:
        for contender in contenders:
            contender.watch.clear()

    times = interleave(
        [*probes, Probe(_EMPTY, lambda _: None)], len(photos.paths), rounds=rounds, clock=clock, seed=seed, begin=begin
    )
    return Run(
        measured={lane.name: lane.measured(times.seconds) for lane in lanes},
        images=tuple(photos.paths),
        unreadable=tuple(photos.unreadable),
        process=np.full(rounds, seed),
        empty=times.seconds[_EMPTY],
        warmup_rounds=times.warmup_rounds,
        steady=times.steady,
    )


def _check_classes(contenders: Sequence[Contender]) -> None:
    known = [contender.description for contender in contenders if contender.description.labels is not None]
    for description in known[1:]:
        if description.labels != known[0].labels:
            told = f"{description.entry.path} and {known[0].entry.path}"
            raise DataError(f"{told} have different classes; measure bundles with the same classes")


class _Photos:
    """Photos as the squares that each preprocessing makes of them.

    Attributes:
        unreadable: messages for those that cannot be read.
        paths: of those that can.
    """

    def __init__(self, images: Sequence[Path], ways: Sequence[Preprocessing], clock: Clock) -> None:
        self.unreadable: list[str] = []
        self.paths: list[Path] = []
        self._squares: dict[Preprocessing, list[np.ndarray]] = {way: [] for way in ways}
        self._seconds = dict.fromkeys(self._squares, 0.0)
        for path in images:
            try:
                start = clock()
                photo = load_image(path)
                decoding = clock() - start
                cut = {}
                for way in self._squares:
                    start = clock()
                    cut[way] = way(photo)[None], decoding + clock() - start
            except ImageError as error:
                self.unreadable.append(str(error))
                continue
            self.paths.append(path)
            for way, (square, seconds) in cut.items():
                self._squares[way].append(square)
                self._seconds[way] += seconds
        if not self.paths:
            raise DataError(f"none of {len(images)} images could be read; the first: {self.unreadable[0]}")

    def squares(self, way: Preprocessing) -> list[np.ndarray]:
        """Pixels uint8 [1,S,S,3] of every photo."""
        return self._squares[way]

    def seconds_each(self, way: Preprocessing) -> float:
        """What decoding and cutting one took."""
        return self._seconds[way] / len(self.paths)


class _Lane:
    """One contender in the race: what is timed of it, and what it answers."""

    def __init__(self, contender: Contender, photos: _Photos, thresholds: tuple[float, ...] | None) -> None:
        self.contender, self.thresholds = contender, thresholds
        self.name = contender.description.entry.name
        way = contender.description.preprocessing
        self._squares, self._preprocessing_s = photos.squares(way), photos.seconds_each(way)
        self._own: dict[int, Trace] = {}
        self._whole: dict[int, Trace] = {}

    @property
    def probes(self) -> list[Probe]:
        """Own exits, and a stop after each step; all steps with each subgraph's calls noted."""
        steps = self.contender.runner.steps
        probes = [Probe(f"{self.name}: own exits", self._run_own)]
        for step in range(1, steps):
            limits = (np.inf,) * (step - 1) + (ALWAYS,) * (steps - step + 1)
            probes.append(Probe(self._stop(step), partial(self._run_until, limits)))
        probes.append(Probe(self._stop(steps), self._run_whole))
        return probes

    def _stop(self, step: int) -> str:
        return f"{self.name}: stopped after step {step}"

    def _run_own(self, image: int) -> None:
        (self._own[image],) = classify(self.contender.runner, self._squares[image], self.thresholds, [self.name])

    def _run_until(self, limits: Sequence[float], image: int) -> None:
        classify(self.contender.runner, self._squares[image], limits, [self.name])

    def _run_whole(self, image: int) -> None:
        (self._whole[image],) = classify(self.contender.timed, self._squares[image], None, [self.name])

    def measured(self, seconds: dict[str, np.ndarray]) -> Measured:
        """What was found, out of everybody's times."""
        steps = self.contender.runner.steps
        stopped = np.stack([seconds[self._stop(step)] for step in range(1, steps + 1)])
        samples = self.contender.watch.samples
        whole = [self._whole[image].steps for image in range(len(self._squares))]
        return Measured(
            description=self.contender.description,
            answers=Answers(
                thresholds=self.thresholds,
                exits=np.array([self._own[image].exit_step for image in range(len(self._squares))]),
                classes=np.array([[step.class_index for step in trace] for trace in whole]).T,
                confidence=np.array([[step.confidence for step in trace] for trace in whole]).T,
            ),
            own=seconds[f"{self.name}: own exits"],
            stopped=stopped,
            calls={
                graph.name: np.asarray(samples[graph.name]).reshape(*stopped.shape[1:], -1)
                for graph in self.contender.description.graphs
            },
            preprocessing_s=self._preprocessing_s,
        )


def _joined(parts: Sequence[Run]) -> Run:
    """The rounds of all processes, one after another."""
    first = parts[0]
    measured = {}
    for name, one in first.measured.items():
        others = [part.measured[name] for part in parts]
        measured[name] = Measured(
            description=one.description,
            answers=one.answers,
            own=np.concatenate([other.own for other in others]),
            stopped=np.concatenate([other.stopped for other in others], axis=1),
            calls={graph: np.concatenate([other.calls[graph] for other in others]) for graph in one.calls},
            preprocessing_s=float(np.median([other.preprocessing_s for other in others])),
        )
    return Run(
        measured=measured,
        images=first.images,
        unreadable=first.unreadable,
        process=np.concatenate([part.process for part in parts]),
        empty=np.concatenate([part.empty for part in parts]),
        warmup_rounds=max(part.warmup_rounds for part in parts),
        steady=all(part.steady for part in parts),
    )
