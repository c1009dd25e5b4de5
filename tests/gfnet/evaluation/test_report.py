from __future__ import annotations

import numpy as np
import pytest

from gfnet.evaluation import Predictions, evaluate
from gfnet.evaluation.metrics import Confusion
from gfnet.evaluation.report import report_evaluation
from gfnet.inference.exits import ALWAYS

LABELS = np.array([0, 0, 1, 1])
# Under a threshold of 0.8 the first two images stop at step 1, the others go on.
PREDICTIONS = Predictions(
    confidence=np.array([[0.9, 0.8, 0.5, 0.6], [0.7, 0.7, 0.7, 0.7]], np.float32),
    predicted=np.array([[0, 1, 1, 1], [0, 0, 1, 2]], np.int32),
    in_top5=np.array([[1, 0, 1, 1], [1, 1, 1, 0]], bool),
    labels=LABELS,
)


@pytest.fixture
def report():
    evaluation = evaluate(PREDICTIONS, [10.0, 30.0], np.array([[0.8, ALWAYS]], np.float32), [20.0])
    return report_evaluation(
        PREDICTIONS,
        {"geometric": evaluation},
        evaluation.budgeted[0],
        ["cat", "dog", "owl"],
        search="train",
        step_ms=(1.0, 3.0),
    )


def test_every_step_is_judged_as_if_all_stopped_there(report):
    assert [step.top1 for step in report.steps] == [75.0, 75.0]
    assert [step.top5 for step in report.steps] == [75.0, 75.0]
    assert report.steps[1].calibration_error == pytest.approx(5.0, abs=1e-4)
    assert sum(part.images for part in report.steps[0].bins) == 4


def test_exits_have_the_accuracy_of_their_own_images(report):
    assert [(stopped.images, stopped.top1) for stopped in report.exits] == [(2, 50.0), (2, 50.0)]


def test_classes_are_judged_at_the_chosen_budget_and_at_the_last_step(report):
    found = [(row.label, row.images, row.top1, row.last_top1) for row in report.classes]
    assert found == [("cat", 2, 50.0, 100.0), ("dog", 2, 50.0, 50.0), ("owl", 0, None, None)]


def test_confusions_are_those_of_the_chosen_budget(report):
    assert report.confusions == (Confusion(0, 1, 1), Confusion(1, 2, 1))


def test_curves_add_top5_and_milliseconds_to_the_points(report):
    curve = report.curves["geometric"]
    assert curve.points[0].mean_macs == 20.0
    assert curve.top5 == (50.0,)
    assert curve.mean_ms == (2.0,)
