from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from gfnet.evaluation.metrics import (
    Confusion,
    ReliabilityBin,
    calibration_error,
    class_top1,
    confusions,
    isotonic_accuracy,
    percent_true,
    reliability_bins,
)


def random_answers(images: int = 500, classes: int = 7):
    rng = np.random.default_rng(0)
    return rng.random(images, np.float32), rng.integers(classes, size=images), rng.integers(classes, size=images)


def test_a_share_of_nothing_is_unknown():
    assert percent_true(np.array([True, False, False, False])) == 25.0
    assert percent_true(np.zeros(0, bool)) is None


def test_bins_hold_what_exceeds_their_lower_and_reaches_their_upper_edge():
    confidence = np.array([0.0, 0.2, 0.21, 0.4, 1.0], np.float32)
    bins = reliability_bins(confidence, np.array([True, False, True, True, False]), bins=5)
    assert [part.images for part in bins] == [2, 2, 0, 0, 1]
    assert [part.top1 for part in bins] == [50.0, 100.0, None, None, 0.0]
    assert bins[1].confidence == pytest.approx(30.5)
    assert (bins[1].lower, bins[1].upper) == (20.0, 40.0)
    assert bins[2].confidence is None


def test_calibration_error_by_hand():
    # Two bins: mean confidence 0.3 with half right, 0.8 with all right, 2 and 3 of 5 images.
    confidence = np.array([0.2, 0.4, 0.7, 0.8, 0.9])
    correct = np.array([True, False, True, True, True])
    error = calibration_error(reliability_bins(confidence, correct, bins=2))
    assert error == pytest.approx(100 * (2 / 5 * 0.2 + 3 / 5 * 0.2))


def test_calibration_error_is_that_of_a_plain_loop():
    confidence, predicted, labels = random_answers()
    correct = predicted == labels
    expected = 0.0
    for lower, upper in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
        inside = (confidence > lower) & (confidence <= upper)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert calibration_error(reliability_bins(confidence, correct)) == pytest.approx(100 * expected, rel=1e-5)


def test_calibration_error_of_nothing_is_nothing():
    assert calibration_error((ReliabilityBin(0, 100, 0, None, None),)) == 0.0


def test_isotonic_accuracy_pools_what_falls_and_what_ties():
    confidence = np.array([0.9, 0.1, 0.3, 0.5, 0.9, 0.7])
    correct = np.array([True, False, True, False, False, False])
    # By confidence: 0, then 1 0 0 which fall to 1/3, then the tie at 1/2.
    np.testing.assert_allclose(isotonic_accuracy(confidence, correct), [1 / 2, 0, 1 / 3, 1 / 3, 1 / 2, 1 / 3])


def test_isotonic_accuracy_is_the_closest_fit_that_never_falls():
    rng = np.random.default_rng(0)
    for _ in range(20):
        confidence, correct = rng.permutation(12) / 12, rng.random(12) < 0.5
        fit = isotonic_accuracy(confidence, correct)
        order = np.argsort(confidence)
        values = np.asarray(correct, float)[order]
        # The minimax formula: the largest, over starts so far, of the smallest mean from there to an end ahead.
        expected = [max(min(values[i : j + 1].mean() for j in range(k, 12)) for i in range(k + 1)) for k in range(12)]
        np.testing.assert_allclose(fit[order], expected, atol=1e-12)


def test_accuracy_of_every_class_is_that_of_its_images():
    _, predicted, labels = random_answers()
    found = class_top1(predicted == labels, labels, 8)
    assert found[7] is None
    for label in range(7):
        assert found[label] == pytest.approx(100 * (predicted[labels == label] == label).mean())


def test_confusions_are_counted_and_sorted():
    _, predicted, labels = random_answers()
    expected = Counter((int(t), int(a)) for t, a in zip(labels, predicted, strict=True) if t != a)
    found = confusions(predicted, labels)
    assert {(c.truth, c.answer): c.images for c in found} == expected
    assert list(found) == sorted(found, key=lambda c: (-c.images, c.truth, c.answer))


def test_ties_of_confusions_go_by_class_and_right_answers_are_none():
    labels = np.array([2, 0, 1, 2, 1])
    predicted = np.array([1, 1, 0, 1, 1])
    assert confusions(predicted, labels) == (Confusion(2, 1, 2), Confusion(0, 1, 1), Confusion(1, 0, 1))
    assert confusions(labels, labels) == ()
