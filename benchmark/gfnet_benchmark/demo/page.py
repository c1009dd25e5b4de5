"""One self-contained page about a trained, exported and measured network."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gfnet.files.writing import write_text
from gfnet.inference.budgets import BudgetPoint, Evaluation
from gfnet.results.schema import Result
from gfnet_benchmark.demo.charts import accuracy_against_macs, accuracy_against_time, exit_distribution
from gfnet_benchmark.measure.statistics import latency_at
from gfnet_benchmark.report.charts import step_latencies
from gfnet_benchmark.report.formats import render
from gfnet_benchmark.report.tables import machine_text, runtime_text
from gfnet_benchmark.results.doubts import doubts


@dataclass(frozen=True)
class Example:
    """One drawn image.

    Attributes:
        picture: a PNG.
        exit_step: where it stopped.
        correct: whether the answer was right.
    """

    picture: Path
    exit_step: int
    correct: bool


@dataclass(frozen=True)
class Baseline:
    """The backbone alone, run once on a whole image.

    Attributes:
        size: the image's side, pixels.
        macs: its multiply-adds.
        top1: accuracy in percent on the validation split.
    """

    size: int
    macs: float
    top1: float


@dataclass(frozen=True)
class Facts:
    """Everything that the page says; accuracies in percent.

    Attributes:
        evaluation: of the trained network on the validation split.
        chosen: the set of thresholds that was measured.
        random_top1: accuracy after each step with random patches in place of the policy's.
        baselines: the same backbone alone, smallest image first.
        epochs: of the four stages; each baseline has had those of the first.
        result: the measured run.
        minutes: that the whole job took so far.
    """

    evaluation: Evaluation
    patch_size: int
    image_size: int
    chosen: BudgetPoint
    random_top1: tuple[float, ...]
    baselines: tuple[Baseline, ...]
    epochs: tuple[int, int, int, int]
    result: Result
    onnx_bytes: int
    coreml_bytes: int
    coreml_precision: str
    examples: tuple[Example, ...]
    seed: int
    train_images: int
    minutes: float

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON-ready values."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("result", "examples", "evaluation", "chosen")
        }
        return {
            **values,
            "random_top1": list(self.random_top1),
            "baselines": [dataclasses.asdict(one) for one in self.baselines],
            "evaluation": dataclasses.asdict(self.evaluation),
            "chosen": dataclasses.asdict(self.chosen),
            "result": self.result.model_dump(mode="json"),
        }


def times_the_macs(chosen: BudgetPoint, baselines: Sequence[Baseline]) -> float | None:
    """How many times the chosen point's multiply-adds the backbone alone needs to be as accurate.

    Read off the line through its sizes; ``None`` where none of them is as accurate.
    """
    if chosen.top1 is None:
        return None
    costs, accuracies = (np.array(values) for values in zip(*((one.macs, one.top1) for one in baselines), strict=True))
    needed = latency_at(costs, accuracies, chosen.top1)
    return needed / chosen.mean_macs if np.isfinite(needed) else None


def write_report(path: Path, facts: Facts) -> None:
    """Write the page; it needs no network and no other file."""
    by_size = {subject.image_size: subject for subject in facts.result.classifiers}
    page = render(
        "demo.html",
        facts=facts,
        machine=f"{machine_text(facts.result)}; {runtime_text(facts.result.networks[0])}",
        doubts=doubts(facts.result),
        rivals=[(one, by_size[one.size]) for one in facts.baselines],
        times_the_macs=times_the_macs(facts.chosen, facts.baselines),
        curve=accuracy_against_macs(facts.evaluation, facts.chosen, facts.baselines),
        time_curve=accuracy_against_time(facts.result, facts.evaluation, facts.chosen),
        latency=step_latencies(facts.result, "steps"),
        exits=exit_distribution(facts.evaluation),
        pictures=[
            {
                "data": base64.b64encode(example.picture.read_bytes()).decode("ascii"),
                "exit_step": example.exit_step,
                "correct": example.correct,
            }
            for example in facts.examples
        ],
    )
    write_text(path, page)
