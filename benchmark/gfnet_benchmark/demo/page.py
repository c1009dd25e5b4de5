"""One self-contained page about a trained, exported and measured network."""

from __future__ import annotations

import base64
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gfnet.files.writing import write_text
from gfnet.inference.budgets import BudgetPoint, Evaluation
from gfnet.results.schema import Result
from gfnet_benchmark.demo.charts import accuracy_against_cost, exit_distribution
from gfnet_benchmark.report.charts import step_latencies
from gfnet_benchmark.report.formats import render
from gfnet_benchmark.report.tables import machine_text, runtime_text


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
class Facts:
    """Everything that the page says; accuracies in percent.

    Attributes:
        evaluation: of the trained network on the validation split.
        chosen: the set of thresholds that was measured.
        random_top1: accuracy after each step with random patches in place of the policy's.
        baseline_top1: of the same backbone on full images, after stage 0.
        baseline_macs: its multiply-adds.
        result: the measured run.
        minutes: that the whole job took so far.
    """

    evaluation: Evaluation
    chosen: BudgetPoint
    random_top1: tuple[float, ...]
    baseline_top1: float
    baseline_macs: float
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
            "evaluation": dataclasses.asdict(self.evaluation),
            "chosen": dataclasses.asdict(self.chosen),
            "result": self.result.model_dump(mode="json"),
        }


def write_report(path: Path, facts: Facts) -> None:
    """Write the page; it needs no network and no other file."""
    page = render(
        "demo.html",
        facts=facts,
        machine=f"{machine_text(facts.result)}; {runtime_text(facts.result.networks[0])}",
        curve=accuracy_against_cost(facts.evaluation, facts.chosen, facts.baseline_top1, facts.baseline_macs),
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
