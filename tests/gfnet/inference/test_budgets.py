from __future__ import annotations

import dataclasses

import pytest

from checkpoint_support import EVALUATION
from gfnet.inference.budgets import BudgetPoint, Evaluation

POINT = EVALUATION.budgeted[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": -1}, "images is -1"),
        ({"images": 10**400}, "images is 1000"),
        ({"macs": ()}, "results of 0 steps"),
        ({"macs": (1.0,) * 65}, "results of 65 steps"),
        ({"macs": (1.0, 2.0, float("inf"))}, "macs is inf"),
        ({"anytime_top1": (1.0, 2.0)}, "anytime_top1 has 2 values for 3 steps"),
        ({"anytime_top1": (1.0, 2.0, 100.5)}, "anytime_top1 is 100.5"),
        ({"budgeted": (POINT,) * 501}, "501 budgets"),
        ({"budgeted": (BudgetPoint(1.0, (0.5,), None, 1.0, ()),)}, "a budget must have 3 thresholds"),
    ],
)
def test_results_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(EVALUATION, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": -1.0}, "budget is -1.0"),
        ({"thresholds": (0.1, float("nan"), 0.3)}, "thresholds is nan"),
        ({"top1": -0.1}, "top1 is -0.1"),
        ({"mean_macs": float("nan")}, "mean_macs is nan"),
        ({"exit_distribution": (0.5, 1.5, 0.0)}, "exit_distribution is 1.5"),
        ({"exit_distribution": (1.0,)}, "exit_distribution has 1 values for 3 steps"),
    ],
)
def test_points_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(POINT, **change)


def test_results_survive_as_plain_values():
    assert Evaluation.from_dict(dataclasses.asdict(EVALUATION)) == EVALUATION
