from __future__ import annotations

import numpy as np
import pytest

from gfnet.inference.traces import StepTrace, Trace
from gfnet.pictures.coverage import Coverage

SIZE, PATCH, STEPS = 17, 5, 4


def trace(*origins):
    logits = np.zeros(2, np.float32)
    return Trace("x", tuple(StepTrace(i, None, o, logits, 0.5, 0, 0.0) for i, o in enumerate((None, *origins), 1)))


@pytest.fixture(scope="module")
def many():
    """Traces of one to four steps, patches at the very edges among them."""
    generator = np.random.default_rng(3)
    places = [tuple(int(v) for v in row) for row in generator.integers(0, SIZE - PATCH + 1, (150, 2))]
    edges = [(0, 0), (0, SIZE - PATCH), (SIZE - PATCH, 0), (SIZE - PATCH, SIZE - PATCH)]
    return [trace(*edges[i : i + 3]) for i in range(2)] + [trace(*places[3 * i : 3 * i + i % 4]) for i in range(50)]


def brute_force(traces, steps):
    counts = np.zeros((SIZE, SIZE), np.int64)
    for each in traces:
        for step in each.steps:
            if step.step in steps and step.origin is not None:
                for row in range(step.origin[0], step.origin[0] + PATCH):
                    for col in range(step.origin[1], step.origin[1] + PATCH):
                        counts[row, col] += 1
    return counts


def test_counts_equal_those_of_a_loop_over_pixels(many):
    coverage = Coverage(SIZE, PATCH, STEPS)
    for each in many:
        coverage.add(each)
    for step in range(2, STEPS + 1):
        expected = brute_force(many, {step})
        np.testing.assert_array_equal(coverage.counts(step), expected)
        reached = sum(len(each.steps) >= step for each in many)
        assert coverage.patches[step] == reached
        np.testing.assert_allclose(coverage.shares(step), expected / reached, rtol=1e-12)
    everything = brute_force(many, range(2, STEPS + 1))
    np.testing.assert_array_equal(coverage.counts(), everything)
    np.testing.assert_allclose(coverage.shares(), everything / coverage.patches.sum(), rtol=1e-12)


def test_the_glance_covers_nothing():
    coverage = Coverage(SIZE, PATCH, STEPS)
    coverage.add(trace())
    assert coverage.patches.sum() == 0
    assert not coverage.shares().any()
    assert not coverage.shares(2).any()


def test_a_patch_as_large_as_the_square_covers_all_of_it():
    coverage = Coverage(PATCH, PATCH, 2)
    coverage.add(trace((0, 0)))
    assert (coverage.shares(2) == 1).all()


@pytest.mark.parametrize("origin", [(-1, 0), (0, SIZE - PATCH + 1)])
def test_a_patch_outside_the_square_is_refused(origin):
    with pytest.raises(ValueError, match="leaves 17 pixels"):
        Coverage(SIZE, PATCH, STEPS).add(trace(origin))
