from __future__ import annotations

import numpy as np
import pytest

from gfnet.evaluation import (
    Predictions,
    anytime_top1,
    exit_quotas,
    find_optimal_thresholds,
    find_thresholds,
    predict_all_steps,
)
from gfnet.inference.exits import exit_steps
from golden_support import case, outputs

# Per cent.  The official meter multiplies by 100 / n in float32, so 1 of 4 comes out as 24.999999; ours counts.
ACCURACY_ATOL = 1e-4


def answers(confidence: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> Predictions:
    """Golden answers; the official code keeps no top-5."""
    return Predictions(confidence, predicted, predicted == labels, labels)


def test_anytime_accuracy_is_the_official_one(released):
    confidence, predicted = released.logits.softmax(2).max(2)
    predictions = answers(confidence.numpy(), predicted.int().numpy(), released.expected["targets"])
    accuracies = anytime_top1(predictions)
    np.testing.assert_allclose(accuracies, released.expected["anytime_classification"], atol=ACCURACY_ATOL, rtol=0)


@pytest.mark.parametrize("steps", [3, 5])
def test_quotas_are_the_official_ones_to_the_last_bit(steps):
    quotas = exit_quotas(steps)
    assert quotas.dtype == np.float32
    assert (quotas == outputs("thresholds")[f"T{steps}_probs"]).all()


def test_thresholds_come_with_what_they_cost_on_the_same_images():
    golden = case("thresholds", "deg_")  # found and evaluated on the same images
    thresholds, budgets = find_thresholds(
        answers(golden["conf"], golden["pred"], golden["label"]), outputs("thresholds")["T3_flops"]
    )
    assert (thresholds == golden["thresholds"]).all()
    assert list(budgets) == golden["expected_flops"].tolist()


def test_budgets_of_time_are_kept_by_optimal_thresholds(tiny, tiny_batches):
    found, macs, step_ms = predict_all_steps(tiny, tiny_batches, 12), [1.0, 2.0, 3.0], [1.0, 5.0, 5.5]
    geometric, _ = find_thresholds(found, macs)
    optimal, budgets = find_optimal_thresholds(found, macs, step_ms)

    def spent(row, cost):
        return np.array(cost)[exit_steps(found.confidence, row)].mean()

    for ours, theirs, budget in zip(optimal, geometric, budgets, strict=True):
        assert spent(ours, step_ms) <= spent(theirs, step_ms) * (1 + 1e-9)
        assert budget == pytest.approx(spent(ours, macs))
