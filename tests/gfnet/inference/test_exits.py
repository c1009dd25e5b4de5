from __future__ import annotations

import numpy as np
import pytest

from gfnet.evaluation import exit_quotas
from gfnet.inference.exits import ALWAYS, NEVER, exit_steps, mean_cost, measure_thresholds, search_thresholds
from golden_support import case, outputs

# Exact throughout: counting, choosing and comparing float32 values leaves no room for rounding, and the sums
# of the expected cost are float32 in the official order.

DEPTHS = [3, 5]


@pytest.mark.parametrize("steps", DEPTHS)
def test_thresholds_are_the_official_ones(steps):
    golden = case("thresholds", f"T{steps}_")
    found = search_thresholds(golden["train_conf"], exit_quotas(steps))
    assert found.dtype == np.float32
    assert (found == golden["thresholds"]).all()


@pytest.mark.parametrize("steps", DEPTHS)
def test_accuracy_cost_and_exits_under_them_are_the_official_ones(steps):
    golden = case("thresholds", f"T{steps}_")
    correct = golden["test_pred"] == golden["test_label"]
    budgets = range(len(golden["thresholds"]))
    points = measure_thresholds(golden["test_conf"], correct, golden["thresholds"], golden["flops"], budgets)
    assert [point.top1 for point in points] == golden["accuracy"].tolist()
    assert [point.mean_macs for point in points] == golden["expected_flops"].tolist()
    counts = np.array([point.exit_distribution for point in points]) * golden["test_label"].size
    assert (counts.round().astype(int) == golden["exit_counts"]).all()
    assert [point.budget for point in points] == list(budgets)
    assert [point.thresholds for point in points] == [tuple(row) for row in golden["thresholds"].tolist()]


def test_ties_exit_together_as_in_the_official_code():
    golden = case("thresholds", "deg_")
    macs = outputs("thresholds")["T3_flops"]
    found = search_thresholds(golden["conf"], exit_quotas(3))
    assert (found == golden["thresholds"]).all()
    points = measure_thresholds(golden["conf"], golden["pred"] == golden["label"], found, macs, [0.0] * len(found))
    assert [point.top1 for point in points] == golden["accuracy"].tolist()
    assert [point.mean_macs for point in points] == golden["expected_flops"].tolist()


@pytest.mark.parametrize(
    ("steps", "images", "budget", "step", "official", "in_float64"),
    outputs("thresholds")["quota_float32_cases"].tolist(),
)
def test_quotas_are_rounded_to_float32_before_they_are_floored(steps, images, budget, step, official, in_float64):
    assert official != in_float64  # or the case would show nothing
    distinct = np.random.default_rng(0).permutation(images).astype(np.float32) / images
    confidence = np.broadcast_to(distinct, (steps, images))
    thresholds = search_thresholds(confidence, exit_quotas(steps)[budget - 1 : budget])
    assert np.bincount(exit_steps(confidence, thresholds[0]))[step] == official


def test_a_step_without_quota_or_with_too_few_images_exits_nobody():
    confidence = np.array([[0.9, 0.8, 0.7], [0.9, 0.8, 0.7], [0.9, 0.8, 0.7]], np.float32)
    quotas = np.array([[0.1, 0.5, 0.4], [0.7, 0.7, 0.1]], np.float32)
    found = search_thresholds(confidence, quotas)
    assert found.tolist() == [[NEVER, np.float32(0.9), ALWAYS], [np.float32(0.8), NEVER, ALWAYS]]


def test_an_image_stops_at_the_first_step_that_reaches_its_threshold():
    confidence = np.array([[0.5, 0.4, 0.4], [0.9, 0.6, 0.5], [0.1, 0.1, 0.1]], np.float32)
    assert exit_steps(confidence, [0.5, 0.6, 1.0]).tolist() == [0, 1, 2]


def test_mean_cost_weighs_cumulative_costs_by_exits():
    assert mean_cost(np.array([1, 1, 2]), [10.0, 20.0, 40.0]) == 27.5
