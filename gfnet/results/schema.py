"""The shape of a measured run, written by ``gfnet bench`` and by the phone's benchmark alike.

The JSON Schema beside this file is generated from it.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from gfnet.config import steps_of_name
from gfnet.errors import DataError
from gfnet.files.fields import Amount, Count, Message, NotNegative, Percent, PerStep, Record, Sha256, Share, Text
from gfnet.results.doubts import DoubtCode

SCHEMA_VERSION: Literal[2] = 2
"""2: several things measured in one run, each with its ratio to one of them."""

_ROUNDING = 2e-3  # of percentiles, against samples that were written with few digits

Milliseconds = NotNegative
Role = Literal["glance", "policy", "focus", "step", "classifier"]


class Timing(Record):
    """One distribution of times.

    Attributes:
        samples_ms: the single times, in the order in which they were taken, if they are kept.
    """

    count: Count
    mean_ms: Milliseconds
    median_ms: Milliseconds
    p90_ms: Milliseconds
    p99_ms: Milliseconds
    samples_ms: Annotated[tuple[Milliseconds, ...], Field(max_length=100_000)] = ()

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Timing:
        if not self.median_ms <= self.p90_ms <= self.p99_ms:
            raise ValueError("median, p90 and p99 do not ascend")
        if self.samples_ms:
            if len(self.samples_ms) != self.count:
                raise ValueError(f"{len(self.samples_ms)} samples, but count is {self.count}")
            told = (self.median_ms, self.p90_ms, self.p99_ms)
            found = np.percentile(self.samples_ms, (50, 90, 99))
            if not np.allclose(told, found, rtol=_ROUNDING, atol=_ROUNDING):
                raise ValueError("the percentiles are not those of the samples")
        return self


class Ratio(Record):
    """A time over the reference's in the same run, with its 95 % interval."""

    value: Annotated[float, Field(gt=0)]
    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ascends(self) -> Ratio:
        if self.low > self.high:
            raise ValueError(f"the interval {self.low:g} to {self.high:g} is upside down")
        if not 0.9 * self.low <= self.value <= 1.1 * self.high:  # resampling may shift it a little
            raise ValueError(f"{self.value:g} lies outside of its interval {self.low:g} to {self.high:g}")
        return self


class Machine(Record):
    """What it ran on.

    Attributes:
        processor: its name.
        governor: how the system chooses the processor's frequency.
    """

    device: Text
    os: Text
    processor: Text | None = None
    cores: Count | None = None
    memory_bytes: Amount | None = None
    governor: Text | None = None


class Conditions(Record):
    """What the machine did besides, as far as it can be told; ``null`` and empty where the system has no such notion.

    Attributes:
        seconds: that the measuring took.
        load_before: the system's load average of one minute.
        others_cores: cores that other processes kept busy while it was measured, on average.
        affinity: the cores that it was allowed to use.
        thermal_states: the system's thermal state at the start of each round, as the system calls it.
        low_power_mode: whether it was on at any time.
        battery_level: at the end, 0 .. 1.
        interrupted: whether the program was put into the background.
    """

    seconds: NotNegative
    load_before: NotNegative | None = None
    load_after: NotNegative | None = None
    others_cores: NotNegative | None = None
    affinity: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    thermal_states: Annotated[tuple[Text, ...], Field(max_length=100_000)] = ()
    low_power_mode: bool | None = None
    battery_level: Share | None = None
    plugged_in: bool | None = None
    interrupted: bool = False


class Runtime(Record):
    """What ran the subgraphs.

    Attributes:
        compute_units: where they were allowed to run, as the runtime calls it.
        threads: inside an operator; ``null`` where the runtime decides.
        settings: others that matter, by their own names.
    """

    name: Text
    version: Text
    compute_units: Text
    threads: Count | None = None
    settings: dict[Text, Text] = Field({})


class SubgraphTiming(Record):
    """The calls of one subgraph, without what is done around them.

    Attributes:
        steps: the steps (1 .. T) that run it.
        load_ms: until it could be called, in a new process.
        first_run_ms: its first call there.
        memory_bytes: by which that process grew while it was loaded; the runtime's own start counts for the first.
        steady: once it is warm.
        ratio: of its typical time to the reference's whole latency.
    """

    name: Text
    role: Role
    steps: Annotated[tuple[Count, ...], Field(min_length=1, max_length=64)]
    load_ms: Milliseconds | None = None
    first_run_ms: Milliseconds | None = None
    memory_bytes: Amount | None = None
    steady: Timing
    ratio: Ratio | None = None


class Stop(Record):
    """Whole images that all stop after the same step.

    Attributes:
        typical_ms: mean over the images of each one's median over the rounds.
        top1: accuracy in percent on the images, where their classes are known.
    """

    step: Count
    typical_ms: Milliseconds
    latency: Timing
    top1: Percent | None = None
    ratio: Ratio | None = None


class Answer(Record):
    """What the loop said of one image."""

    image: Message
    exit_step: Count
    class_index: Annotated[int, Field(ge=0)]


class Loop(Record):
    """Whole images, each with its own exit: from the preprocessed square to the answer.

    Attributes:
        thresholds: under which an image stops; ``null``: all steps were run.
        exit_distribution: fraction of images that stopped at each step.
        typical_ms: mean over the images of each one's median over the rounds.
        modelled_ms: what :class:`Stop`'s latencies, weighted by ``exit_distribution``, say it should be.
        round_ms: mean latency of each round.
        images_per_second: with decoding and preprocessing, one image at a time.
        top1: accuracy in percent, where the images' classes are known.
        ratio: of ``typical_ms`` to the reference's.
    """

    thresholds: PerStep[float] | None
    exit_distribution: PerStep[Share]
    latency: Timing
    typical_ms: Milliseconds
    modelled_ms: Milliseconds
    round_ms: Annotated[tuple[Milliseconds, ...], Field(max_length=100_000)]
    images_per_second: Annotated[float, Field(gt=0)] | None = None
    top1: Percent | None = None
    answers: Annotated[tuple[Answer, ...], Field(max_length=1_000_000)] = ()
    ratio: Ratio | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Loop:
        if not math.isclose(sum(self.exit_distribution), 1, abs_tol=1e-3):
            raise ValueError(f"exit_distribution adds up to {sum(self.exit_distribution):.4g}, not 1")
        if self.thresholds is not None and len(self.thresholds) != len(self.exit_distribution):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.exit_distribution)} steps")
        return self


class CurvePoint(Record):
    """One stored set of thresholds: what it was known to give, and what it costs here.

    Attributes:
        budget: average multiply-adds per image that the thresholds were found for.
        top1: accuracy in percent on the split that the network was evaluated on.
        exit_distribution: there.
        modelled_ms: mean latency with those exits.
        measured_ms: mean latency of the images of this run, each stopped where these thresholds stop it.
        measured_exits: their exit distribution.
        measured_top1: their accuracy, where their classes are known.
    """

    budget: NotNegative
    thresholds: PerStep[float]
    top1: Percent | None
    exit_distribution: PerStep[Share]
    modelled_ms: Milliseconds | None
    measured_ms: Milliseconds | None = None
    measured_exits: PerStep[Share] = ()
    measured_top1: Percent | None = None


class Match(Record):
    """A network where it is as accurate as a classifier of the same run, on the run's images.

    Attributes:
        classifier: the other subject's name.
        top1: its accuracy in percent.
        typical_ms: the network's mean latency at that accuracy, between the sets of thresholds around it; ``null``
            where it never gets there.
        ratio: of that to the classifier's mean latency.
        low: end of the 95 % interval over resampled images.
        high: likewise; ``null`` where too many of the resamples never get there.
    """

    classifier: Text
    top1: Percent
    typical_ms: Milliseconds | None
    ratio: Annotated[float, Field(gt=0)] | None
    low: Annotated[float, Field(gt=0)] | None
    high: Annotated[float, Field(gt=0)] | None


class Cold(Record):
    """The first image of a new process, medians of several.

    Attributes:
        process_ms: until the program's first line.
        import_ms: until the runtime's library and what it needs were there.
        load_ms: until every subgraph could be called.
        first_image_ms: the first image, once it was preprocessed.
        peak_bytes: the most memory that the process held.
    """

    repeats: Count
    process_ms: Milliseconds | None = None
    import_ms: Milliseconds | None = None
    load_ms: Milliseconds
    first_image_ms: Milliseconds
    peak_bytes: Amount | None = None


class Tried(Record):
    """Settings of a runtime, and what an image took under them."""

    settings: dict[Text, Text]
    typical_ms: Milliseconds


class Subject(Record):
    """One thing that was measured: a network step by step, or a classifier that sees the full image once.

    Attributes:
        name: unique in the run.
        network: backbone, patch size and steps, as in ``ModelConfig.name``; a classifier's has no more to it than
            ``backbone@image_size``.
        image_size: side of the square that it is given, pixels.
        precision: of weights and activations, and how weights are compressed.
        layout: which parts are one subgraph.
        bytes: size of its files.
        sha256: digest of the bundle's manifest, which names the digests of everything else; or of the file.
        revision: git revision of its folder, if it lies in a repository.
        reference: name of the subject that its ratios are to.
        macs: cumulative multiply-adds of sequences of 1 .. T steps, where known.
        stored_top1: accuracy in percent after each step, as stored with the network; empty where unknown.
        stops: for T steps, T of them.
        matches: a network against classifiers of known accuracy, one each.
        tried: settings that were tried before, the fastest of which ran.
    """

    name: Text
    kind: Literal["network", "classifier"]
    network: Text
    image_size: Count
    precision: Text
    layout: Text = "split"
    bytes: Amount | None = None
    sha256: Sha256 | None = None
    revision: Text | None = None
    reference: Text | None = None
    macs: PerStep[NotNegative] = ()
    stored_top1: PerStep[Percent] = ()
    runtime: Runtime
    subgraphs: Annotated[tuple[SubgraphTiming, ...], Field(min_length=1, max_length=256)]
    stops: Annotated[tuple[Stop, ...], Field(min_length=1, max_length=64)]
    loop: Loop
    curve: Annotated[tuple[CurvePoint, ...], Field(max_length=500)] = ()
    matches: Annotated[tuple[Match, ...], Field(max_length=1000)] = ()
    cold: Cold | None = None
    tried: Annotated[tuple[Tried, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _has_one_number_of_steps(self) -> Subject:
        steps = len(self.stops)
        if [stop.step for stop in self.stops] != list(range(1, steps + 1)):
            raise ValueError(f"{self.name}: stops are not those of steps 1, 2, ...")
        if self.kind == "classifier" and steps != 1:
            raise ValueError(f"{self.name}: a classifier has one step, not {steps}")
        for what, values in (
            ("loop.exit_distribution", self.loop.exit_distribution),
            ("macs", self.macs or (0,) * steps),
            ("stored_top1", self.stored_top1 or (0,) * steps),
            *((f"curve.{i}.thresholds", point.thresholds) for i, point in enumerate(self.curve)),
            *(
                (f"curve.{i}.{what}", shares)
                for i, point in enumerate(self.curve)
                for what, shares in (
                    ("exit_distribution", point.exit_distribution),
                    ("measured_exits", point.measured_exits),
                )
                if shares
            ),
        ):
            if len(values) != steps:
                raise ValueError(f"{self.name}: {what} has {len(values)} values for {steps} steps")
        modelled = sum(
            share * stop.typical_ms for share, stop in zip(self.loop.exit_distribution, self.stops, strict=True)
        )
        if not math.isclose(self.loop.modelled_ms, modelled, rel_tol=0.01, abs_tol=1e-4):
            raise ValueError(
                f"{self.name}: modelled_ms is {self.loop.modelled_ms:g}, but stops and exits say {modelled:g}"
            )
        for answer in self.loop.answers:
            if answer.exit_step > steps:
                raise ValueError(f"{self.name}: {answer.image} stopped at step {answer.exit_step} of {steps}")
        for graph in self.subgraphs:
            if max(graph.steps) > steps:
                raise ValueError(f"{self.name}: {graph.name} runs at step {max(graph.steps)} of {steps}")
        if self.kind == "network" and steps_of_name(self.network) != steps:
            raise ValueError(f"{self.name}: {self.network} does not have the {steps} steps that were measured")
        return self


class Doubt(Record):
    """A reason not to rely on a measured run; as text it is the code's sentence.

    Attributes:
        values: what is put into the sentence, by the names that stand in its braces.
    """

    code: DoubtCode
    values: dict[Text, Text] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_the_sentence(self) -> Doubt:
        if self.values.keys() != self.code.placeholders:
            needed, given = (", ".join(sorted(names)) or "none" for names in (self.code.placeholders, self.values))
            raise ValueError(f"the doubt {self.code} has the values {given}; its sentence needs {needed}")
        return self

    def __str__(self) -> str:
        return self.code.sentence.format(**self.values)


def doubt(code: DoubtCode, **values: object) -> Doubt:
    """A doubt with its values as they are shown."""
    return Doubt(code=code, values={name: str(value) for name, value in values.items()})


class Result(Record):
    """A measured run.

    Attributes:
        tool: what measured it, and its version.
        command: the command line that repeats the measurement.
        created: when, UTC, ``2026-01-31T12:00:00Z``.
        images: number of images, each of which was run in each round.
        unreadable: images that could not be read.
        processes: new ones, one after another, that shared the rounds.
        warmup_rounds: rounds before that were not counted, until it was steady.
        harness_us: what measuring adds to one call, microseconds.
        unreliable: reasons not to rely on it that the measuring tool noticed; plain sentences in results from before
            there were codes. :mod:`gfnet_benchmark.results.doubts` finds more.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    tool: Text
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    machine: Machine
    conditions: Conditions
    command: Message | None = None
    images: Count
    unreadable: Annotated[tuple[Message, ...], Field(max_length=1_000_000)] = ()
    rounds: Count
    processes: Count = 1
    warmup_rounds: Annotated[int, Field(ge=0)]
    harness_us: NotNegative | None = None
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=1000)]
    unreliable: Annotated[tuple[Doubt | Message, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Result:
        names = [subject.name for subject in self.subjects]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two subjects are called {name}")
        for subject in self.subjects:
            classifiers = [other.name for other in self.classifiers if other.name != subject.name]
            if subject.reference is not None and subject.reference not in classifiers:
                raise ValueError(f"{subject.name}: its reference {subject.reference} is no other classifier of the run")
            for match in subject.matches:
                if match.classifier not in classifiers:
                    raise ValueError(f"{subject.name}: {match.classifier} is no other classifier of the run")
            given = len(subject.loop.round_ms)
            if given != self.rounds:
                raise ValueError(f"{subject.name}: {given} values in round_ms for {self.rounds} rounds")
        return self

    def subject(self, name: str) -> Subject:
        """The subject of that name.

        Raises:
            DataError: there is none.
        """
        for subject in self.subjects:
            if subject.name == name:
                return subject
        names = ", ".join(subject.name for subject in self.subjects)
        raise DataError(f"the result has no subject {name!r}; it has {names}")

    @property
    def networks(self) -> tuple[Subject, ...]:
        """What was measured step by step."""
        return tuple(subject for subject in self.subjects if subject.kind == "network")

    @property
    def classifiers(self) -> tuple[Subject, ...]:
        """What sees the full image once."""
        return tuple(subject for subject in self.subjects if subject.kind == "classifier")


def cumulative_latency(subject: Subject) -> tuple[float, ...]:
    """Milliseconds of sequences of 1 .. T steps, resizing and cropping included."""
    return tuple(stop.typical_ms for stop in subject.stops)


def schema_text() -> str:
    """The JSON Schema of :class:`Result`, as committed in ``result.schema.json``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Result.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
