from __future__ import annotations

import itertools

import numpy as np
import pytest

from gfnet.errors import BudgetError
from gfnet.evaluation import exit_quotas
from gfnet.evaluation.optimal import optimal_thresholds
from gfnet.inference.exits import ALWAYS, NEVER, exit_steps, search_thresholds


def problem(steps: int, images: int, seed: int):
    """Confidences that say something of rightness, rightness, and costs."""
    rng = np.random.default_rng(seed)
    ease = np.linspace(0, 1.2, steps)[:, None] - rng.normal(size=images) + 0.7 * rng.normal(size=(steps, images))
    confidence = 1 / (1 + np.exp(-ease - 0.4 * rng.normal(size=(steps, images))))
    correct = rng.random((steps, images)) < 1 / (1 + np.exp(-1.5 * ease))
    return confidence.astype(np.float32), correct, np.cumsum(rng.uniform(0.3, 2, steps)).tolist()


def outcome(confidence, correct, cost, thresholds):
    """Images answered rightly, and the average cost."""
    exits = exit_steps(confidence, thresholds)
    return int(correct[exits, np.arange(len(exits))].sum()), float(np.asarray(cost)[exits].mean())


def geometric(confidence, correct, cost):
    rows = search_thresholds(confidence, exit_quotas(len(cost)))
    return rows, [outcome(confidence, correct, cost, row)[1] for row in rows]


def all_outcomes(confidence, correct, cost):
    """Every way to place thresholds."""
    values = [[*np.unique(row), NEVER] for row in confidence[:-1]]
    return np.array([outcome(confidence, correct, cost, (*row, ALWAYS)) for row in itertools.product(*values)])


def shortfalls(steps: int, images: int, seeds: range) -> np.ndarray:
    """How many right answers the search misses of the best there are, for every problem and budget."""
    missed = []
    for seed in seeds:
        confidence, correct, cost = problem(steps, images, seed)
        starts, budgets = geometric(confidence, correct, cost)
        everything = all_outcomes(confidence, correct, cost)
        rows = optimal_thresholds(confidence, correct, cost, budgets, starts, candidates=None, smooth=False)
        for row, budget in zip(rows, budgets, strict=True):
            right, spent = outcome(confidence, correct, cost, row)
            assert spent <= budget * (1 + 1e-9)
            missed.append(everything[everything[:, 1] <= budget * (1 + 1e-9), 0].max() - right)
    return np.array(missed)


def test_two_steps_are_solved_exactly():
    assert not shortfalls(2, 60, range(8)).any()


def test_three_steps_are_solved_nearly_always():
    missed = shortfalls(3, 24, range(3))
    assert missed.max() <= 1
    assert (missed == 0).mean() > 0.9


@pytest.mark.parametrize("smooth", [True, False])
def test_no_budget_is_worse_or_dearer_than_the_geometric_rule_on_the_same_images(smooth):
    confidence, correct, cost = problem(3, 1000, 0)
    starts, budgets = geometric(confidence, correct, cost)
    rows = optimal_thresholds(confidence, correct, cost, budgets, starts, smooth=smooth)
    assert rows.dtype == np.float32
    gains = []
    for row, start, budget in zip(rows, starts, budgets, strict=True):
        right, spent = outcome(confidence, correct, cost, row)
        assert spent <= budget * (1 + 1e-9)
        gains.append(right - outcome(confidence, correct, cost, start)[0])
    assert min(gains) >= 0
    assert max(gains) > 5


def test_a_step_whose_confidence_says_nothing_stops_nobody():
    rng = np.random.default_rng(0)
    confidence = rng.random((3, 1000), np.float32)
    correct = np.stack([rng.random(1000) < 0.1, confidence[1] > 0.5, np.ones(1000, bool)])
    # Step 2 knows exactly what it knows; two thirds of the images' last steps can be paid for.
    rows = optimal_thresholds(confidence, correct, [1.0, 2.0, 3.0], [2.6], np.zeros((0, 3)))
    assert rows[0, 0] > confidence[0].max()
    assert outcome(confidence, correct, [1.0, 2.0, 3.0], rows[0]) == (1000, pytest.approx(2.5, abs=0.03))


def test_thresholds_lie_between_confidences_and_ties_stay_together():
    confidence = np.array([[0.2, 0.4, 0.4, 0.8], [0.5] * 4], np.float32)
    correct = np.array([[False, False, True, True], [True] * 4])
    for budget, expected in ((1.75, 0.6), (1.5, 0.6), (1.25, 0.3), (1.0, 0.0)):
        (row,) = optimal_thresholds(
            confidence, correct, [1.0, 2.0], [budget], np.zeros((0, 2)), candidates=None, smooth=False
        )
        spent = outcome(confidence, correct, [1.0, 2.0], row)[1]
        assert spent <= budget
        if budget != 1.5:  # stopping the tied pair costs one answer and is not needed at 1.75
            assert row[0] == pytest.approx(expected)
        assert row[1] == np.float32(ALWAYS)


def test_neighbouring_floats_are_told_apart():
    upper = np.nextafter(np.float32(0.5), np.float32(1))
    confidence = np.array([[0.5, upper], [0.9, 0.9]], np.float32)
    correct = np.array([[False, True], [True, True]])
    (row,) = optimal_thresholds(confidence, correct, [1.0, 2.0], [1.5], np.zeros((0, 2)), smooth=False)
    assert outcome(confidence, correct, [1.0, 2.0], row) == (2, 1.5)


def test_one_step_has_nothing_to_choose():
    rows = optimal_thresholds(np.ones((1, 3), np.float32), np.ones((1, 3), bool), [5.0], [5.0], np.zeros((0, 1)))
    assert rows.tolist() == [[np.float32(ALWAYS)]]


def test_what_cannot_be_met_is_refused():
    confidence, correct, cost = problem(3, 10, 0)
    none = np.zeros((0, 3))
    with pytest.raises(BudgetError, match="below the cost of the first step"):
        optimal_thresholds(confidence, correct, cost, [cost[0] / 2], none)
    with pytest.raises(BudgetError, match="do not ascend"):
        optimal_thresholds(confidence, correct, cost[::-1], cost, none)
    with pytest.raises(BudgetError, match="no images"):
        optimal_thresholds(confidence[:, :0], correct[:, :0], cost, cost, none)
