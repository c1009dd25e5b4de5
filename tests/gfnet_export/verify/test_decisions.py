from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gfnet.inference.exits import ALWAYS
from gfnet.inference.traces import StepTrace, Trace, most_likely
from gfnet_export.verify.decisions import decide
from gfnet_export.verify.gates import GATES

SLACK = 100
THRESHOLDS = (0.8, 0.8, ALWAYS)


def walk(*steps):
    """A trace of steps, each (lead of class 0 over class 1 in logits, action or ``None``)."""
    made = []
    for number, (lead, action) in enumerate(steps, start=1):
        logits = np.float32([lead, 0])
        best, confidence = most_likely(logits[None])
        origin = None if action is None else tuple(int(np.float32(axis) * np.float32(SLACK)) for axis in action)
        made.append(StepTrace(number, action, origin, logits, float(confidence[0]), int(best[0]), 0.0))
    return Trace("", tuple(made))


def lead_of(confidence):
    return float(np.log(confidence / (1 - confidence)))


SURE, UNSURE = lead_of(0.9), lead_of(0.6)
PLAIN = walk((UNSURE, None), (UNSURE, (0.305, 0.705)), (SURE, (0.505, 0.105)))


def compare(expected, found, precision="fp32"):
    return decide("r", expected, found, THRESHOLDS, GATES[precision], SLACK)


def test_the_same_walks_agree():
    row, shares = compare([PLAIN] * 3, [PLAIN] * 3)
    assert (row.images, row.patches, row.borderline, row.largest_shift) == (3, 6, 0, 0)
    assert row.same_exit == row.same_label == row.same_patch == row.near_patch == 1
    assert {share.outcome for share in shares.values()} == {"passed"}


@pytest.mark.parametrize(
    ("precision", "action", "near"),
    [
        ("fp32", (0.315, 0.705), 0.5),  # a pixel further on, from the middle of a pixel
        ("fp16", (0.315, 0.715), 1.0),
        ("fp16", (0.325, 0.705), 0.5),
        ("int8", (0.295, 0.695), 1.0),
    ],
)
def test_a_shift_of_one_pixel_is_another_patch_in_float32_only(precision, action, near):
    moved = walk((UNSURE, None), (UNSURE, action), (SURE, (0.505, 0.105)))
    row, _ = compare([PLAIN], [moved], precision)
    assert row.same_patch == 0.5
    assert row.near_patch == near


def test_an_action_between_two_pixels_excuses_what_follows_from_it():
    edge, beyond = (0.30001, 0.705), (0.29999, 0.705)
    expected = walk((UNSURE, None), (UNSURE, edge), (SURE, (0.505, 0.105)))
    found = walk((UNSURE, None), (-SURE, beyond), (SURE, (0.905, 0.905)))  # answers otherwise, stops there
    row, shares = compare([expected], [found])
    assert (row.borderline, row.largest_shift) == (1, 80)
    assert {share.outcome for share in shares.values()} == {"passed"}
    assert row.same_patch == 0


def test_what_parted_before_the_patch_is_not_excused_by_it():
    expected = walk((UNSURE, None), (SURE, (0.30001, 0.705)), (SURE, (0.505, 0.105)))
    found = walk((SURE, None), (SURE, (0.29999, 0.705)), (SURE, (0.505, 0.105)))
    row, shares = compare([expected], [found])
    assert row.borderline == 0
    assert shares["stop at the same step"].outcome == "failed"


def test_a_patch_between_two_pixels_excuses_nothing_if_another_one_moved_before():
    expected = walk((UNSURE, None), (UNSURE, (0.305, 0.705)), (SURE, (0.50001, 0.105)))
    found = walk((UNSURE, None), (UNSURE, (0.805, 0.705)), (-SURE, (0.49999, 0.105)))
    row, shares = compare([expected], [found])
    assert (row.borderline, row.near_patch) == (0, 0)
    assert shares["give the same label"].outcome == "failed"


def test_a_shift_across_an_edge_that_is_far_is_no_borderline_case():
    found = walk((UNSURE, None), (UNSURE, (0.295, 0.705)), (SURE, (0.505, 0.105)))
    _, shares = compare([PLAIN], [found])
    assert shares["look at the same pixels"].outcome == "failed"


@pytest.mark.parametrize(("confidence", "borderline"), [(0.800001, 1), (0.801, 0)])
def test_a_confidence_on_its_threshold_may_stop_or_go_on(confidence, borderline):
    expected = walk((lead_of(confidence), None), *[(SURE, (0.5, 0.5))] * 2)
    found = walk((lead_of(0.7999), None), *[(SURE, (0.5, 0.5))] * 2)
    row, shares = compare([expected], [found])
    assert row.borderline == borderline
    assert row.same_exit == borderline
    assert shares["stop at the same step"].outcome == ("passed" if borderline else "failed")
    assert row.largest_margin == pytest.approx(confidence - 0.8, abs=1e-6)


@pytest.mark.parametrize(("lead", "borderline"), [(1e-6, 1), (1e-3, 0)])
def test_one_other_answer_fails_float32_unless_two_classes_are_as_likely(lead, borderline):
    expected, found = (walk((0, None), (0, (0.5, 0.5)), (sign * lead, (0.5, 0.5))) for sign in (1, -1))
    row, shares = compare([expected] + [PLAIN] * 999, [found] + [PLAIN] * 999)
    assert row.borderline == borderline
    assert shares["give the same label"].outcome == ("passed" if borderline else "failed")


def test_accuracy_is_that_of_where_images_stop():
    other = dataclasses.replace(PLAIN, steps=(*PLAIN.steps[:2], walk((-SURE, None)).steps[0]))
    row, _ = decide("r", [PLAIN, PLAIN], [PLAIN, other], THRESHOLDS, GATES["fp32"], SLACK, [0, 0])
    assert row.top1 == 50
