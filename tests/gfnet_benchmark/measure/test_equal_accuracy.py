from __future__ import annotations

import numpy as np
import pytest

from gfnet_benchmark.measure.equal_accuracy import Ways, latency_at, matches


def curve(points):
    return np.array(points, float).T


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
    cost, accuracy = curve([(2, 0.8), (4, 0.9), (1, 0.6), (3, 0.7), (4, 0.85)])
    assert latency_at(cost, accuracy, target) == pytest.approx(expected)


def ways(latencies, shares, images=1000):
    """Ways that take the same time for every image and answer the first of them rightly."""
    right = np.arange(images) < images * np.array(shares)[:, None]
    return Ways(np.broadcast_to(np.array(latencies)[:, None], right.shape) / 1e3, right)


def test_a_network_is_compared_where_it_is_as_accurate():
    network = ways([1, 3], [0.6, 0.8])
    found = {match.classifier: match for match in matches(network, {"a": ways([4], [0.7]), "b": ways([4], [0.9])})}
    assert found["a"].top1 == pytest.approx(70)
    assert found["a"].typical_ms == pytest.approx(2)
    assert found["a"].ratio == pytest.approx(0.5)
    assert found["b"].typical_ms is None
    assert found["b"].ratio is found["b"].high is None


def test_the_interval_holds_what_other_images_would_have_given():
    random = np.random.default_rng(1)

    def drawn(share_ways, images):
        luck = random.random(images)  # the same images are hard for both
        return luck[None] < np.array(share_ways)[:, None]

    def both(images):
        seconds = np.broadcast_to(np.array([1.0, 2.0, 3.0])[:, None], (3, images))
        right = drawn([0.5, 0.7, 0.8], images) ^ (random.random((3, images)) < 0.05)
        other = drawn([0.72], images) ^ (random.random((1, images)) < 0.05)
        return Ways(seconds, right), Ways(np.full((1, images), 4.0), other)

    network, classifier = both(400_000)
    (truth,) = matches(network, {"c": classifier}, resamples=2)
    assert truth.ratio is not None
    held = 0
    for _ in range(40):
        network, classifier = both(600)
        (match,) = matches(network, {"c": classifier}, resamples=300)
        assert match.low is not None
        held += match.low <= truth.ratio <= (match.high or np.inf)
    assert held >= 34  # of 40; 95 % would be 38


def test_the_same_seed_gives_the_same_interval():
    network, others = ways([1, 3], [0.6, 0.8]), {"c": ways([4], [0.7])}
    assert matches(network, others, seed=3) == matches(network, others, seed=3)


def test_accuracy_that_is_reached_by_luck_has_an_open_interval():
    network, classifier = ways([1, 2], [0.5, 0.7]), ways([4], [0.7])
    flipped = Ways(classifier.seconds, classifier.right[:, ::-1])  # other images are the easy ones
    (match,) = matches(network, {"c": flipped})
    assert match.ratio == pytest.approx(0.5)
    assert match.low is not None
    assert match.high is None
