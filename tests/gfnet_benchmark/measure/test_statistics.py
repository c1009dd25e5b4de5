from __future__ import annotations

import numpy as np
import pytest

from gfnet_benchmark.measure.statistics import (
    OperatingPoints,
    latency_at,
    match_accuracies,
    median_ratio,
    ratio,
    summarise,
    typical,
)


def test_a_slow_moment_does_not_count_but_a_slow_image_does():
    seconds = np.array([[1.0, 3.0], [1.0, 3.0], [50.0, 3.0]])
    assert typical(seconds) == 2.0


def test_what_moves_both_alike_moves_no_ratio():
    random = np.random.default_rng(1)
    load = random.uniform(1, 10, (8, 20))  # each image of each round meets another load
    found = ratio(2 * load, load)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_the_interval_holds_the_true_ratio_and_narrows_with_rounds():
    def measured(rounds, seed):
        random = np.random.default_rng(seed)
        return ratio(
            0.6 * random.lognormal(0, 0.2, (rounds, 30)), random.lognormal(0, 0.2, (rounds, 30)), resamples=200
        )

    few = [measured(4, seed) for seed in range(40)]
    assert sum(one.low <= 0.6 <= one.high for one in few) >= 34
    many = measured(64, 0)
    assert many.high - many.low < 0.5 * np.mean([one.high - one.low for one in few])


def test_a_process_counts_as_one_witness():
    random = np.random.default_rng(3)
    process = np.repeat(np.arange(5), 8)
    ours = random.normal(1, 0.05, 5)[process, None] * random.normal(
        1, 0.01, (40, 20)
    )  # processes differ, rounds hardly
    reference = np.ones((40, 20))
    together, apart = ratio(ours, reference), ratio(ours, reference, process)
    assert apart.value == together.value
    assert apart.high - apart.low > 2 * (together.high - together.low)


def test_the_same_samples_give_the_same_interval():
    samples = np.random.default_rng(0).uniform(1, 2, (2, 5, 6))
    assert ratio(*samples) == ratio(*samples)


def test_percentiles_are_in_milliseconds():
    timing = summarise([0.001 * i for i in range(1, 101)])
    assert timing.count == 100
    assert timing.mean_ms == pytest.approx(50.5)
    assert timing.median_ms == pytest.approx(50.5)
    assert timing.p90_ms == pytest.approx(90.1)
    assert timing.p99_ms == pytest.approx(99.01)


def test_ratios_compare_within_a_round():
    # A machine that slows down tenfold half-way changes both alike.
    ours, baseline = np.array([1.0, 1.0, 10.0, 10.0, 10.0]), np.array([2.0, 2.0, 20.0, 20.0, 20.0])
    assert median_ratio(ours, baseline) == 0.5


def columns(rows):
    return np.array(rows, float).T


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.5, 1.0),  # less than the cheapest point already gives
        (0.6, 1.0),
        (0.7, 1.5),  # half way between two points
        (0.8, 2.0),
        (0.9, 4.0),  # past a point that costs more and is worse
        (0.91, np.inf),
    ],
)
def test_the_latency_of_an_accuracy_lies_on_the_line_of_the_best_points(target, expected):
    cost, accuracy = columns([(2, 0.8), (4, 0.9), (1, 0.6), (3, 0.7), (4, 0.85)])
    assert latency_at(cost, accuracy, target) == pytest.approx(expected)


def points(latencies, shares, images=1000):
    """Operating points that take the same time for every image and answer the first of them rightly."""
    right = np.arange(images) < images * np.array(shares)[:, None]
    return OperatingPoints(np.broadcast_to(np.array(latencies)[:, None], right.shape) / 1e3, right)


def test_a_network_is_compared_where_it_is_as_accurate():
    network = points([1, 3], [0.6, 0.8])
    found = {
        match.classifier: match
        for match in match_accuracies(network, {"a": points([4], [0.7]), "b": points([4], [0.9])})
    }
    assert found["a"].top1 == pytest.approx(70)
    assert found["a"].typical_ms == pytest.approx(2)
    assert found["a"].ratio == pytest.approx(0.5)
    assert found["b"].typical_ms is None
    assert found["b"].ratio is found["b"].high is None


def test_the_interval_holds_what_other_images_would_have_given():
    random = np.random.default_rng(1)

    def drawn(accuracies, images):
        luck = random.random(images)  # the same images are hard for both
        return luck[None] < np.array(accuracies)[:, None]

    def both(images):
        seconds = np.broadcast_to(np.array([1.0, 2.0, 3.0])[:, None], (3, images))
        right = drawn([0.5, 0.7, 0.8], images) ^ (random.random((3, images)) < 0.05)
        other = drawn([0.72], images) ^ (random.random((1, images)) < 0.05)
        return OperatingPoints(seconds, right), OperatingPoints(np.full((1, images), 4.0), other)

    network, classifier = both(400_000)
    (truth,) = match_accuracies(network, {"c": classifier}, resamples=2)
    assert truth.ratio is not None
    held = 0
    for _ in range(40):
        network, classifier = both(600)
        (match,) = match_accuracies(network, {"c": classifier}, resamples=300)
        assert match.low is not None
        held += match.low <= truth.ratio <= (match.high or np.inf)
    assert held >= 34  # of 40; 95 % would be 38


def test_the_same_seed_gives_the_same_interval():
    network, others = points([1, 3], [0.6, 0.8]), {"c": points([4], [0.7])}
    assert match_accuracies(network, others, seed=3) == match_accuracies(network, others, seed=3)


def test_accuracy_that_is_reached_by_luck_has_an_open_interval():
    network, classifier = points([1, 2], [0.5, 0.7]), points([4], [0.7])
    flipped = OperatingPoints(classifier.seconds, classifier.right[:, ::-1])  # other images are the easy ones
    (match,) = match_accuracies(network, {"c": flipped})
    assert match.ratio == pytest.approx(0.5)
    assert match.low is not None
    assert match.high is None
