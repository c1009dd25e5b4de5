from __future__ import annotations

import numpy as np
import pytest

from gfnet_benchmark.measure.statistics import ratio, typical


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
