"""Networks, step by step and whole, and classifiers on the full image: timed side by side on ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from gfnet.adaptive import classify
from gfnet.errors import DataError, ImageError
from gfnet.exits import ALWAYS, exit_steps, resolve_thresholds
from gfnet.images import Preprocessing, load_image
from gfnet.measurement import (
    Answer,
    Cold,
    CurvePoint,
    Loop,
    Result,
    Stop,
    SubgraphTiming,
    Subject,
)
from gfnet.results import BudgetPoint
from gfnet.traces import Trace
from gfnet_benchmark.cold import ColdGraph, measure_cold
from gfnet_benchmark.contenders import Contender, Entry, Graph, open_contender
from gfnet_benchmark.interleaving import Probe, Times, interleave
from gfnet_benchmark.machine import Watch, describe_machine
from gfnet_benchmark.statistics import ratio, typical
from gfnet_benchmark.timing import Clock, summarise

_OWN = "own exits"
_EMPTY = "an empty call"

Choice = Callable[[Contender], tuple[float, ...] | None]
"""The thresholds of a contender; ``None`` runs all steps."""


def bench_onnx(
    entries: Sequence[Entry],
    images: Sequence[Path],
    *,
    choose: Choice = lambda _: None,
    rounds: int = 10,
    clock: Clock = time.perf_counter,
    cold: Callable[[Entry], tuple[Cold, dict[str, ColdGraph]]] | None = measure_cold,
) -> Result:
    """Measure networks and classifiers on the same images, interleaved.

    Every image goes through everything before the next one does: each contender's loop with its own exits, its loop
    stopped after each step in turn, and all of that again in each round.  Images are decoded and cut to their squares
    beforehand; from there to the answer everything counts, the conversion of pixels included.  A network's ratios are
    to the fastest classifier of its backbone on the full image at as many threads, or else to the fastest of all.

    Args:
        entries: what is compared.
        images: photos to classify; those in folders that are called like a class tell how accurate answers are.
        choose: thresholds for the loop with own exits.
        rounds: measured ones.
        cold: measures an entry in new processes; ``None`` leaves that out.

    Raises:
        DataError: no image can be read; entries have the same name or different classes.
        BundleError: an entry cannot be opened.
    """
    if rounds < 1:
        raise DataError(f"{rounds} rounds: use 1 or more")
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise DataError(f"two of {', '.join(names)} have the same name; give one of them another")
    contenders = [open_contender(entry, clock) for entry in entries]
    _check_classes(contenders)
    thresholds = {contender.entry.name: choose(contender) for contender in contenders}
    photos = _Photos(images, [contender.preprocessing for contender in contenders], clock)
    runs = [_Run(contender, photos, thresholds[contender.entry.name]) for contender in contenders]
    probes = [probe for run in runs for probe in run.probes]
    watch = Watch()
    times = interleave(
        [*probes, Probe(_EMPTY, lambda _: None)], photos.count, rounds=rounds, clock=clock, begin=lambda: _clear(runs)
    )
    conditions = watch.conditions()
    subjects = []
    for run in runs:
        once, graphs = cold(run.contender.entry) if cold is not None else (None, {})
        subjects.append(run.subject(times, _reference(run, runs, times), once, graphs))
    return Result(
        tool=f"gfnet {version('gfnet')}",
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=describe_machine(),
        conditions=conditions,
        images=photos.count,
        unreadable=tuple(photos.unreadable),
        rounds=rounds,
        warmup_rounds=times.warmup_rounds,
        harness_us=1e6 * float(np.median(times.seconds[_EMPTY])),
        subjects=tuple(subjects),
        unreliable=() if times.steady else (f"times still fell after {times.warmup_rounds} rounds of warm-up",),
    )


def chosen_thresholds(*, all_steps: bool = False, thresholds: str | None = None, budget: str | None = None) -> Choice:
    """The thresholds that a command's options ask for, for each contender; see :func:`resolve_thresholds`."""

    def choose(contender: Contender) -> tuple[float, ...] | None:
        if contender.kind == "classifier":
            return None
        return resolve_thresholds(
            contender.points, contender.steps, all_steps=all_steps, thresholds=thresholds, budget=budget
        )

    return choose


def _probe(name: str, what: str) -> str:
    return f"{name}: {what}"


def _reference(run: _Run, runs: Sequence[_Run], times: Times) -> str | None:
    """What a contender is compared with: see :func:`bench_onnx`."""
    alike = [other for other in runs if other.contender.entry.settings.threads == run.contender.entry.settings.threads]
    networks = [other.contender for other in alike if other.contender.kind == "network"]
    of = run.contender if run.contender.kind == "network" else networks[0] if networks else run.contender
    classifiers = [other for other in alike if other.contender.kind == "classifier"]
    full = f"{of.architecture}@{of.runner.image_size}"
    candidates = [other for other in classifiers if other.contender.network == full] or classifiers
    if not candidates:
        return None
    return min(candidates, key=lambda other: typical(times.seconds[_probe(other.name, _OWN)])).name


def _check_classes(contenders: Sequence[Contender]) -> None:
    known = [contender for contender in contenders if contender.labels is not None]
    for contender in known[1:]:
        if contender.labels != known[0].labels:
            raise DataError(
                f"{contender.entry.path} and {known[0].entry.path} know different classes; measure bundles of one task"
            )


class _Photos:
    """Photos as the squares that each preprocessing makes of them.

    Attributes:
        unreadable: messages for those that cannot be read.
        paths: of those that can.
        seconds_each: that decoding and cutting took, by preprocessing.
    """

    def __init__(self, images: Sequence[Path], ways: Sequence[Preprocessing], clock: Clock) -> None:
        self.unreadable: list[str] = []
        self.paths: list[Path] = []
        self._squares: dict[Preprocessing, list[np.ndarray]] = {way: [] for way in ways}
        seconds = dict.fromkeys(self._squares, 0.0)
        for path in images:
            try:
                start = clock()
                photo = load_image(path)
                decoding = clock() - start
                for way, squares in self._squares.items():
                    start = clock()
                    squares.append(way(photo)[None])
                    seconds[way] += decoding + clock() - start
                self.paths.append(path)
            except ImageError as error:
                self.unreadable.append(str(error))
        if not self.paths:
            raise DataError(f"none of {len(images)} images could be read; the first: {self.unreadable[0]}")
        self.seconds_each = {way: total / self.count for way, total in seconds.items()}

    @property
    def count(self) -> int:
        return len(self.paths)

    def squares(self, way: Preprocessing) -> list[np.ndarray]:
        """Pixels uint8 [1,S,S,3] of every photo."""
        return self._squares[way]


class _Run:
    """One contender's part of the run: what is timed of it, and what it answered."""

    def __init__(self, contender: Contender, photos: _Photos, thresholds: tuple[float, ...] | None) -> None:
        self.contender, self.photos, self.thresholds = contender, photos, thresholds
        self._squares = photos.squares(contender.preprocessing)
        self._own: dict[int, Trace] = {}
        self._whole: dict[int, Trace] = {}

    @property
    def name(self) -> str:
        return self.contender.entry.name

    @property
    def probes(self) -> list[Probe]:
        """Own exits, and a stop after each step; all steps with each subgraph's calls noted."""
        probes = [Probe(_probe(self.name, _OWN), self._run_own)]
        for step in range(1, self.contender.steps):
            limits = (np.inf,) * (step - 1) + (ALWAYS,) * (self.contender.steps - step + 1)
            probes.append(Probe(self._stop(step), partial(self._run_until, limits)))
        probes.append(Probe(self._stop(self.contender.steps), self._run_whole))
        return probes

    def _stop(self, step: int) -> str:
        return _probe(self.name, f"stopped after step {step}")

    def _run_own(self, image: int) -> None:
        (self._own[image],) = classify(self.contender.runner, self._squares[image], self.thresholds, [""])

    def _run_until(self, limits: Sequence[float], image: int) -> None:
        classify(self.contender.runner, self._squares[image], limits, [""])

    def _run_whole(self, image: int) -> None:
        (self._whole[image],) = classify(self.contender.timed, self._squares[image], None, [""])

    def subject(
        self, times: Times, reference: str | None, cold: Cold | None, cold_graphs: dict[str, ColdGraph]
    ) -> Subject:
        """What was found; ratios are to ``reference``."""
        contender = self.contender
        base = None if reference in (None, self.name) else times.seconds[_probe(str(reference), _OWN)]
        stopped = np.stack([times.seconds[self._stop(step)] for step in range(1, contender.steps + 1)])  # [T,R,N]
        stops = tuple(self._stop_of(step, stopped[step - 1], base) for step in range(1, contender.steps + 1))
        return Subject(
            name=self.name,
            kind=contender.kind,
            network=contender.network,
            image_size=contender.runner.image_size,
            precision=contender.precision,
            layout=contender.layout,
            bytes=contender.bytes,
            sha256=contender.sha256,
            revision=contender.revision,
            reference=None if base is None else reference,
            macs=contender.macs,
            stored_top1=contender.stored_top1,
            runtime=contender.entry.settings.runtime(),
            subgraphs=tuple(
                self._subgraph(graph, times, base, cold_graphs.get(graph.name)) for graph in contender.graphs
            ),
            stops=stops,
            loop=self._loop(times.seconds[_probe(self.name, _OWN)], stops, base),
            curve=tuple(self._curve_point(point, stopped, stops) for point in contender.points),
            cold=cold,
            tried=contender.entry.tried,
        )

    def _subgraph(self, graph: Graph, times: Times, base: np.ndarray | None, cold: ColdGraph | None) -> SubgraphTiming:
        rounds, images = times.seconds[self._stop(self.contender.steps)].shape
        calls = np.asarray(self.contender.watch.samples[graph.name]).reshape(rounds, images, -1)
        return SubgraphTiming(
            name=graph.name,
            role=graph.role,
            steps=graph.steps,
            load_ms=None if cold is None else cold.load_ms,
            first_run_ms=None if cold is None else cold.first_run_ms,
            memory_bytes=None if cold is None else cold.memory_bytes,
            steady=summarise(calls.ravel(), keep=True),
            ratio=None if base is None else ratio(calls.mean(axis=2), base),
        )

    def _stop_of(self, step: int, seconds: np.ndarray, base: np.ndarray | None) -> Stop:
        return Stop(
            step=step,
            typical_ms=1e3 * typical(seconds),
            latency=summarise(seconds.ravel()),
            top1=self._top1([trace.steps[step - 1].class_index for trace in self._traces]),
            ratio=None if base is None else ratio(seconds, base),
        )

    def _loop(self, seconds: np.ndarray, stops: Sequence[Stop], base: np.ndarray | None) -> Loop:
        own = [self._own[image] for image in range(self.photos.count)]
        shares = _shares(np.array([trace.exit_step for trace in own]) - 1, self.contender.steps)
        each = self.photos.seconds_each[self.contender.preprocessing] + typical(seconds)
        return Loop(
            thresholds=self.thresholds,
            exit_distribution=shares,
            latency=summarise(seconds.ravel(), keep=True),
            typical_ms=1e3 * typical(seconds),
            modelled_ms=_modelled(shares, stops),
            round_ms=tuple(float(v) for v in 1e3 * seconds.mean(axis=1)),
            images_per_second=1 / each if each else None,
            top1=self._top1([trace.class_index for trace in own]),
            answers=tuple(
                Answer(image="/".join(path.parts[-2:]), exit_step=trace.exit_step, class_index=trace.class_index)
                for path, trace in zip(self.photos.paths, own, strict=True)
            ),
            ratio=None if base is None else ratio(seconds, base),
        )

    def _curve_point(self, point: BudgetPoint, stopped: np.ndarray, stops: Sequence[Stop]) -> CurvePoint:
        """One stored set of thresholds, from runs that were stopped where it stops each image.

        Args:
            stopped: seconds [T,rounds,images].
        """
        confidence = np.array([[step.confidence for step in trace.steps] for trace in self._traces]).T  # [T,N]
        exits = exit_steps(confidence, point.thresholds)
        picked = np.take_along_axis(stopped, exits[None, None, :], axis=0)[0]  # [R,N]
        answers = [trace.steps[exit].class_index for trace, exit in zip(self._traces, exits, strict=True)]
        return CurvePoint(
            budget=point.budget,
            thresholds=point.thresholds,
            top1=point.top1,
            exit_distribution=point.exit_distribution,
            modelled_ms=_modelled(point.exit_distribution, stops) if point.exit_distribution else None,
            measured_ms=1e3 * typical(picked),
            measured_exits=_shares(exits, self.contender.steps),
            measured_top1=self._top1(answers),
        )

    @property
    def _traces(self) -> list[Trace]:
        """All steps of every image, in order."""
        return [self._whole[image] for image in range(self.photos.count)]

    def _top1(self, answers: Sequence[int]) -> float | None:
        """Accuracy in percent, if every photo lies in a folder that is called like a class."""
        labels = self.contender.labels
        folders = [path.parent.name for path in self.photos.paths]
        if labels is None or not set(folders) <= set(labels):
            return None
        return 100 * float(np.mean([labels[answer] == folder for answer, folder in zip(answers, folders, strict=True)]))


def _clear(runs: Sequence[_Run]) -> None:
    """Forget what the warm-up measured."""
    for run in runs:
        run.contender.watch.clear()


def _shares(exits: np.ndarray, steps: int) -> tuple[float, ...]:
    return tuple(float(v) for v in np.bincount(exits, minlength=steps) / len(exits))


def _modelled(shares: Sequence[float], stops: Sequence[Stop]) -> float:
    return float(sum(share * stop.typical_ms for share, stop in zip(shares, stops, strict=True)))
