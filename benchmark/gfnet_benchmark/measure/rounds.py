"""Targets timed side by side on the same photos, in interleaved rounds: what took how long, and what was answered."""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from gfnet.errors import DataError
from gfnet.inference.adaptive import classify
from gfnet.inference.exits import ALWAYS, resolve_thresholds
from gfnet.inference.traces import Trace
from gfnet_benchmark.measure.photos import Photos, Squares
from gfnet_benchmark.measure.runners import open_runners
from gfnet_benchmark.measure.targets import Target
from gfnet_benchmark.measure.timing import Clock, TimedCall, interleave

_EMPTY = "an empty call"


@dataclass(frozen=True)
class Stopping:
    """When images may stop, as a person asked for it; see :func:`gfnet.inference.exits.resolve_thresholds`."""

    all_steps: bool = False
    thresholds: str | None = None
    budget: str | None = None

    def of(self, target: Target, steps: int) -> tuple[float, ...] | None:
        """The thresholds of a target with so many steps; ``None`` runs all steps."""
        if target.kind == "classifier":
            return None
        return resolve_thresholds(
            target.points,
            steps,
            all_steps=self.all_steps,
            thresholds=self.thresholds,
            budget=self.budget,
        )


STORED = Stopping()
"""By each network's stored thresholds that are most accurate; all steps where it has none."""


@dataclass(frozen=True)
class Answers:
    """What a target said of N images.

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
    """One target's part of a run.

    Attributes:
        own: seconds of whole images with their own exits, float64 [rounds,N].
        stopped: of whole images stopped after each step, float64 [T,rounds,N].
        calls: of each subgraph's calls where all steps are run, float64 [rounds,N,calls], by name.
        preprocessing_s: decoding and cutting one image, seconds.
    """

    target: Target
    answers: Answers
    own: np.ndarray
    stopped: np.ndarray
    calls: dict[str, np.ndarray]
    preprocessing_s: float


@dataclass(frozen=True)
class Run:
    """Everything that was timed together.

    Attributes:
        measured: by the target's name, in order.
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
    targets: Sequence[Target],
    photos: Photos,
    *,
    stopping: Stopping,
    rounds: int,
    processes: int = 1,
    clock: Clock = time.perf_counter,
) -> Run:
    """Time every target on every photo in every round, see :func:`gfnet_benchmark.measure.timing.interleave`.

    Where memory happens to lie makes one process some percent faster than the next, and weights more than
    arithmetic: rounds of several processes average that out.  Photos are decoded here, once for all of them.

    Args:
        rounds: of all processes together.
        processes: new ones, one after another, that share the rounds; 1 measures in this process.
        clock: of this process.

    Raises:
        DataError: no photo can be read, or targets have different classes.
        BundleError: a target cannot be opened.
    """
    _check_classes(targets)
    squares = photos.squares(target.preprocessing for target in targets)
    if processes == 1:
        return _measure(targets, squares, stopping, rounds, 0, clock)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "squares.pickle"
        with file.open("wb") as written:
            pickle.dump(squares, written, pickle.HIGHEST_PROTOCOL)
        del squares  # each process holds them while it measures
        parts = []
        for number in range(processes):
            share = rounds // processes + (number < rounds % processes)
            parts.append(_in_a_new_process(targets, file, stopping, share, number))
    return _joined(parts)


def _in_a_new_process(*arguments: Any) -> Run:
    """:func:`_measure_stored` in a new process, which does not outlive this call."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        found: Run | Exception = receiver.recv()
    except EOFError:
        raise DataError("a measuring process ended without a result; is there enough memory?") from None
    finally:
        process.terminate()
        process.join()
    if isinstance(found, Exception):
        raise found
    return found


def _send(sender: Connection, arguments: Sequence[Any]) -> None:
    found: Run | Exception
    try:
        found = _measure_stored(*arguments)
    except Exception as error:  # raised again in the process that waits for it
        found = error
    sender.send(found)


def _measure_stored(targets: Sequence[Target], file: Path, stopping: Stopping, rounds: int, seed: int) -> Run:
    with file.open("rb") as stored:
        squares: Squares = pickle.load(stored)
    return _measure(targets, squares, stopping, rounds, seed)


def _measure(
    targets: Sequence[Target],
    squares: Squares,
    stopping: Stopping,
    rounds: int,
    seed: int,
    clock: Clock = time.perf_counter,
) -> Run:
    timed = [_TimedTarget(target, squares, stopping, clock) for target in targets]
    calls = [call for one in timed for call in one.calls]

    def begin() -> None:
        for one in timed:
            one.runners.watch.clear()

    times = interleave(
        [*calls, TimedCall(_EMPTY, lambda _: None)],
        len(squares.paths),
        rounds=rounds,
        clock=clock,
        seed=seed,
        begin=begin,
    )
    return Run(
        measured={one.target.name: one.measured(times.seconds) for one in timed},
        images=squares.paths,
        unreadable=squares.unreadable,
        process=np.full(rounds, seed),
        empty=times.seconds[_EMPTY],
        warmup_rounds=times.warmup_rounds,
        steady=times.steady,
    )


def _check_classes(targets: Sequence[Target]) -> None:
    known = [target for target in targets if target.labels is not None]
    for target in known[1:]:
        if target.labels != known[0].labels:
            raise DataError(
                f"{target.path} and {known[0].path} have different classes; measure networks of the same classes"
            )


class _TimedTarget:
    """An opened target: what is timed of it, and what it answers."""

    def __init__(self, target: Target, squares: Squares, stopping: Stopping, clock: Clock) -> None:
        self.target, self.runners = target, open_runners(target.path, target.settings, clock)
        self.steps = self.runners.plain.steps
        self.thresholds = stopping.of(target, self.steps)
        self._squares = squares.pixels[target.preprocessing]
        self._preprocessing_s = squares.seconds_each[target.preprocessing]
        self._own: dict[int, Trace] = {}
        self._whole: dict[int, Trace] = {}

    @property
    def calls(self) -> list[TimedCall]:
        """Own exits, and a stop after each step; all steps with each subgraph's calls noted."""
        calls = [TimedCall(f"{self.target.name}: own exits", self._run_own)]
        for step in range(1, self.steps):
            limits = (np.inf,) * (step - 1) + (ALWAYS,) * (self.steps - step + 1)
            calls.append(TimedCall(self._stop(step), partial(self._run_until, limits)))
        calls.append(TimedCall(self._stop(self.steps), self._run_whole))
        return calls

    def _stop(self, step: int) -> str:
        return f"{self.target.name}: stopped after step {step}"

    def _run_own(self, image: int) -> None:
        (self._own[image],) = classify(self.runners.plain, self._squares[image], self.thresholds, [self.target.name])

    def _run_until(self, limits: Sequence[float], image: int) -> None:
        classify(self.runners.plain, self._squares[image], limits, [self.target.name])

    def _run_whole(self, image: int) -> None:
        (self._whole[image],) = classify(self.runners.timed, self._squares[image], None, [self.target.name])

    def measured(self, seconds: dict[str, np.ndarray]) -> Measured:
        """What was found, out of the times of all targets."""
        stopped = np.stack([seconds[self._stop(step)] for step in range(1, self.steps + 1)])
        samples = self.runners.watch.samples
        whole = [self._whole[image].steps for image in range(len(self._squares))]
        return Measured(
            target=self.target,
            answers=Answers(
                thresholds=self.thresholds,
                exits=np.array([self._own[image].exit_step for image in range(len(self._squares))]),
                classes=np.array([[step.class_index for step in trace] for trace in whole]).T,
                confidence=np.array([[step.confidence for step in trace] for trace in whole]).T,
            ),
            own=seconds[f"{self.target.name}: own exits"],
            stopped=stopped,
            calls={
                graph.name: np.asarray(samples[graph.name]).reshape(*stopped.shape[1:], -1)
                for graph in self.target.graphs
            },
            preprocessing_s=self._preprocessing_s,
        )


def _joined(parts: Sequence[Run]) -> Run:
    """The rounds of all processes, one after another."""
    first = parts[0]
    measured = {}
    for name, one in first.measured.items():
        others = [part.measured[name] for part in parts]
        measured[name] = replace(
            one,
            own=np.concatenate([other.own for other in others]),
            stopped=np.concatenate([other.stopped for other in others], axis=1),
            calls={graph: np.concatenate([other.calls[graph] for other in others]) for graph in one.calls},
        )
    return replace(
        first,
        measured=measured,
        process=np.concatenate([part.process for part in parts]),
        empty=np.concatenate([part.empty for part in parts]),
        warmup_rounds=max(part.warmup_rounds for part in parts),
        steady=all(part.steady for part in parts),
    )
