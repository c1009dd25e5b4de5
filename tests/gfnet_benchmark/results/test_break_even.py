from __future__ import annotations

import numpy as np
import pytest

from gfnet_benchmark.results.break_even import break_even


def test_with_that_share_the_mean_is_the_baseline_s():
    lengths, baseline = np.array([2.0, 4.0, 7.0]), 5.0
    for step, share in enumerate(break_even(tuple(lengths), baseline)):
        assert share is not None
        assert share * lengths[step] + (1 - share) * lengths[-1] == pytest.approx(baseline)


def test_a_step_that_costs_more_by_itself_never_pays():
    assert break_even((2.0, 6.0, 9.0), 5.0) == (pytest.approx(4 / 7), None)


def test_all_steps_cheaper_than_the_baseline_need_no_exit():
    assert break_even((1.0, 2.0, 3.0), 5.0) == (0.0, 0.0)
    assert break_even((1.0,), 5.0) == ()
