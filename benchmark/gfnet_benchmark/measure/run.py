"""``gfnet bench onnx``: networks, step by step and whole, against classifiers on the full image, as one result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from gfnet.data.classes import label_photos
from gfnet.errors import DataError
from gfnet.escaping import one_line
from gfnet.inference.budgets import BudgetPoint
from gfnet.inference.exits import exit_steps
from gfnet.results.doubts import DoubtCode
from gfnet.results.schema import Answer, Cold, CurvePoint, Loop, Match, Result, Stop, SubgraphTiming, Subject, doubt
from gfnet_benchmark.measure.cold_start import ColdGraph, measure_cold
from gfnet_benchmark.measure.machine import LoadMonitor, describe_machine
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.rounds import STORED, Measured, Run, Stopping, measure
from gfnet_benchmark.measure.statistics import OperatingPoints, match_accuracies, ratio, summarise, typical
from gfnet_benchmark.measure.targets import Graph, Target, digest, git_revision
from gfnet_benchmark.measure.timing import Clock

_Truth = Mapping[str, Mapping[Path, int]]
"""The class of every photo, by the name of the target that numbers classes so."""

_MOST_SAMPLES = 20_000  # of one distribution, in the result's file


def bench_onnx(
    targets: Sequence[Target],
    photos: Photos,
    *,
    stopping: Stopping = STORED,
    rounds: int = 10,
    processes: int = 1,
    clock: Clock = time.perf_counter,
    cold: Callable[[Target], tuple[Cold, dict[str, ColdGraph]]] | None = measure_cold,
    command: str | None = None,
    class_map: str | None = None,
) -> Result:
    """Measure networks and classifiers on the same images, interleaved.

    Every image goes through everything before the next one does: each target's loop with its own exits, its loop
    stopped after each step in turn, and all of that again in each round.  Images are decoded and cut to their squares
    beforehand; from there to the answer everything counts, the conversion of pixels included.  A network's ratios are
    to the fastest classifier of its backbone on the full image at as many threads, or else to the fastest of all.

    Args:
        targets: what is compared.
        photos: to classify; in folders of classes they tell how accurate answers are.
        stopping: thresholds for the loop with own exits.
        rounds: measured ones.
        processes: that share them; see :func:`gfnet_benchmark.measure.rounds.measure`.
        cold: measures a target in new processes; ``None`` leaves that out.
        command: the command line that repeats the measurement.
        class_map: how the photos' folders map to the networks' classes, see :func:`gfnet.data.classes.label_photos`.

    Raises:
        DataError: no photo can be read; targets have the same name or different classes; photos lie in folders of
            other classes.
        BundleError: a target cannot be opened.
    """
    if not 1 <= processes <= rounds:
        raise DataError(f"{rounds} rounds in {processes} processes: use 1 or more, and no more processes than rounds")
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise DataError(f"two of {', '.join(names)} have the same name; rename one")
    truth = _truth(targets, photos.files, class_map)
    load = LoadMonitor()
    run = measure(targets, photos, stopping=stopping, rounds=rounds, processes=processes, clock=clock)
    conditions = load.conditions()
    subjects = []
    for name in run.measured:
        once, graphs = cold(run.measured[name].target) if cold is not None else (None, {})
        subjects.append(_subject(name, run, truth, once, graphs))
    return Result(
        tool=f"gfnet {version('gfnet')}",
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=describe_machine(),
        conditions=conditions,
        command=None if command is None else one_line(command, 2000)[:2000],
        images=len(run.images),
        unreadable=tuple(one_line(message) for message in run.unreadable),
        rounds=rounds,
        processes=processes,
        warmup_rounds=run.warmup_rounds,
        harness_us=1e6 * float(np.median(run.empty)),
        subjects=tuple(subjects),
        unreliable=() if run.steady else (doubt(DoubtCode.STILL_WARMING, rounds=run.warmup_rounds),),
    )


def _subject(name: str, run: Run, truth: _Truth, cold: Cold | None, cold_graphs: dict[str, ColdGraph]) -> Subject:
    measured = run.measured[name]
    target, stopped = measured.target, measured.stopped
    right = _right(measured, run.images, truth)
    reference = _reference(name, run)
    base = None if reference is None else run.measured[reference].own
    stops = tuple(
        Stop(
            step=step,
            typical_ms=1e3 * typical(seconds),
            latency=summarise(seconds.ravel()),
            top1=_percent(right, np.full(len(run.images), step)),
            ratio=None if base is None else ratio(seconds, base, run.process),
        )
        for step, seconds in enumerate(stopped, start=1)
    )
    return Subject(
        name=name,
        kind=target.kind,
        network=target.network,
        image_size=target.image_size,
        precision=target.precision,
        layout=target.layout,
        bytes=target.bytes,
        sha256=digest(target.path),
        revision=git_revision(target.path),
        reference=reference,
        macs=target.macs,
        stored_top1=target.stored_top1,
        runtime=target.settings.runtime(),
        subgraphs=tuple(
            _subgraph(graph, measured.calls[graph.name], base, run.process, cold_graphs.get(graph.name))
            for graph in target.graphs
        ),
        stops=stops,
        loop=_loop(measured, run, stops, base, right),
        curve=tuple(_curve_point(point, measured, stops, right) for point in target.points),
        matches=_matches(measured, run, truth),
        cold=cold,
        tried=target.tried,
    )


def _reference(name: str, run: Run) -> str | None:
    """What a target is compared with; ``None`` for that itself."""
    target = run.measured[name].target
    alike = {
        other: measured.target
        for other, measured in run.measured.items()
        if measured.target.settings.threads == target.settings.threads
    }
    networks = [other for other in alike.values() if other.kind == "network"]
    networks.sort(key=lambda network: network.architecture != target.architecture)  # its own first
    of = target if target.kind == "network" or not networks else networks[0]
    classifiers = [other for other in alike if alike[other].kind == "classifier"]
    full = f"{of.architecture}@{of.image_size}"
    own = [other for other in classifiers if alike[other].network == full]
    fastest = min(own or classifiers, key=lambda other: typical(run.measured[other].own), default=None)
    return None if fastest == name else fastest


def _subgraph(
    graph: Graph, calls: np.ndarray, base: np.ndarray | None, process: np.ndarray, cold: ColdGraph | None
) -> SubgraphTiming:
    return SubgraphTiming(
        name=graph.name,
        role=graph.role,
        steps=graph.steps,
        load_ms=None if cold is None else cold.load_ms,
        first_run_ms=None if cold is None else cold.first_run_ms,
        memory_bytes=None if cold is None else cold.memory_bytes,
        steady=summarise(calls.ravel(), keep=calls.size <= _MOST_SAMPLES),
        ratio=None if base is None else ratio(calls.mean(axis=2), base, process),
    )


def _loop(
    measured: Measured, run: Run, stops: Sequence[Stop], base: np.ndarray | None, right: np.ndarray | None
) -> Loop:
    answers, seconds = measured.answers, measured.own
    shares = _shares(answers.exits, len(stops))
    each = measured.preprocessing_s + typical(seconds)
    given = np.take_along_axis(answers.classes, answers.exits[None] - 1, axis=0)[0]
    return Loop(
        thresholds=answers.thresholds,
        exit_distribution=shares,
        latency=summarise(seconds.ravel(), keep=seconds.size <= _MOST_SAMPLES),
        typical_ms=1e3 * typical(seconds),
        modelled_ms=_modelled(shares, stops),
        round_ms=tuple(float(v) for v in 1e3 * seconds.mean(axis=1)),
        images_per_second=1 / each if each else None,
        top1=_percent(right, answers.exits),
        answers=tuple(
            Answer(image=one_line("/".join(path.parts[-2:])), exit_step=int(exit_step), class_index=int(class_index))
            for path, exit_step, class_index in zip(run.images, answers.exits, given, strict=True)
        ),
        ratio=None if base is None else ratio(seconds, base, run.process),
    )


def _curve_point(point: BudgetPoint, measured: Measured, stops: Sequence[Stop], right: np.ndarray | None) -> CurvePoint:
    """One stored set of thresholds, from runs that were stopped where it stops each image."""
    exits = exit_steps(measured.answers.confidence, point.thresholds)
    picked = np.take_along_axis(measured.stopped, exits[None, None, :], axis=0)[0]  # [rounds,N]
    return CurvePoint(
        budget=point.budget,
        thresholds=point.thresholds,
        top1=point.top1,
        exit_distribution=point.exit_distribution,
        modelled_ms=_modelled(point.exit_distribution, stops) if point.exit_distribution else None,
        measured_ms=1e3 * typical(picked),
        measured_exits=_shares(exits + 1, len(stops)),
        measured_top1=_percent(right, exits + 1),
    )


def _matches(measured: Measured, run: Run, truth: _Truth) -> tuple[Match, ...]:
    """A network against every classifier with as many threads, where the accuracies of both are known."""
    points = _operating_points(measured, run.images, truth)
    if points is None or measured.target.kind == "classifier":
        return ()
    threads = measured.target.settings.threads
    classifiers = {
        name: other
        for name, one in run.measured.items()
        if one.target.kind == "classifier"
        and one.target.settings.threads == threads
        and (other := _operating_points(one, run.images, truth)) is not None
    }
    return match_accuracies(points, classifiers)


def _operating_points(measured: Measured, images: Sequence[Path], truth: _Truth) -> OperatingPoints | None:
    """All sets of thresholds, and all images stopping after the same step; ``None`` where classes are not known."""
    right = _right(measured, images, truth)
    if right is None:
        return None
    typical_s = np.median(measured.stopped, axis=1)  # [T,N]
    exits = [np.full(len(images), step) for step in range(len(right))]
    exits += [exit_steps(measured.answers.confidence, point.thresholds) for point in measured.target.points]
    picked = np.stack(exits)[:, None]  # [points,1,N]
    return OperatingPoints(*(np.take_along_axis(values[None], picked, axis=1)[:, 0] for values in (typical_s, right)))


def _truth(targets: Sequence[Target], images: Sequence[Path], class_map: str | None) -> _Truth:
    """Every photo's class, for the targets that know their classes' names and if photos are labelled."""
    truth = {}
    for target in targets:
        if target.labels is not None:
            labels = label_photos(images, target.labels, len(target.labels), class_map)
            if labels is not None:
                truth[target.name] = dict(zip(images, labels, strict=True))
    return truth


def _right(measured: Measured, images: Sequence[Path], truth: _Truth) -> np.ndarray | None:
    """Whether each step's answer is right, bool [T,N], if that is known."""
    classes = truth.get(measured.target.name)
    return None if classes is None else measured.answers.classes == np.array([classes[image] for image in images])


def _percent(right: np.ndarray | None, exits: np.ndarray) -> float | None:
    """Accuracy in percent for exits 1 .. T [N]."""
    return None if right is None else 100 * float(np.take_along_axis(right, exits[None] - 1, axis=0).mean())


def _shares(exits: np.ndarray, steps: int) -> tuple[float, ...]:
    """Fraction of the images that stopped after each step, from exits 1 .. T [N]."""
    return tuple(float(v) for v in np.bincount(exits - 1, minlength=steps) / len(exits))


def _modelled(shares: Sequence[float], stops: Sequence[Stop]) -> float:
    return float(sum(share * stop.typical_ms for share, stop in zip(shares, stops, strict=True)))
