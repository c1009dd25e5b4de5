from __future__ import annotations

import itertools

import numpy as np
import pytest

from gfnet.errors import NetworkError
from gfnet.inference.adaptive import classify, walk


class Script:
    """A runner that answers what it is told and notes which images it was asked about."""

    steps, image_size, patch_size = 3, 20, 10

    def __init__(self, logits):
        self.logits = np.asarray(logits, np.float32)  # [T,B,C]
        self.calls = []

    def glance(self, pixels):
        state = np.arange(len(pixels))
        self.calls.append((1, state.tolist()))
        return self.logits[0], state

    def propose(self, state):
        return np.full((len(state), 2), [0.25, 1.0], np.float32), state

    def focus(self, origins, state, step):
        self.calls.append((step, state.tolist()))
        return self.logits[step - 1][state], state

    def select(self, state, keep):
        return state[keep]


def sure(class_index, classes=2):
    return [8.0 if i == class_index else 0.0 for i in range(classes)]


UNSURE = [0.1, 0.0]
PIXELS = np.zeros((3, 20, 20, 3), np.uint8)
NAMES = ["a", "b", "c"]


def test_images_leave_the_batch_as_soon_as_they_are_sure():
    runner = Script([[UNSURE, sure(1), UNSURE], [sure(0), UNSURE, UNSURE], [UNSURE, UNSURE, sure(1)]])
    traces = classify(runner, PIXELS, (0.9, 0.9, -1e8), NAMES)
    assert runner.calls == [(1, [0, 1, 2]), (2, [0, 2]), (3, [2])]
    assert [(t.image, t.exit_step, t.class_index) for t in traces] == [("a", 2, 0), ("b", 1, 1), ("c", 3, 1)]


def test_without_thresholds_every_image_runs_every_step():
    runner = Script([[sure(0)] * 3] * 3)
    assert [trace.exit_step for trace in classify(runner, PIXELS, None, NAMES)] == [3, 3, 3]


def test_the_last_step_takes_everyone_whatever_its_threshold():
    runner = Script([[UNSURE] * 3] * 3)
    assert [trace.exit_step for trace in classify(runner, PIXELS, (1e8, 1e8, 1e8), NAMES)] == [3, 3, 3]


def test_a_confidence_equal_to_the_threshold_exits():
    runner = Script([[[0.0, 0.0]] * 3] * 3)
    assert [trace.exit_step for trace in classify(runner, PIXELS, (0.5, 0.5, -1e8), NAMES)] == [1, 1, 1]


def test_a_trace_holds_what_happened():
    trace = classify(Script([[UNSURE] * 3] * 3), PIXELS, None, NAMES)[0]
    assert trace.steps[0].action is None
    assert trace.steps[0].origin is None
    assert trace.steps[1].action == (0.25, 1.0)
    assert trace.steps[1].origin == (2, 10)
    assert trace.steps[2].confidence == pytest.approx(np.exp(0.1) / (np.exp(0.1) + 1))
    np.testing.assert_array_equal(trace.steps[2].logits, np.float32(UNSURE))


def test_a_batch_s_time_is_shared_by_those_still_in_it():
    runner = Script([[UNSURE, sure(1), UNSURE], [UNSURE] * 3, [UNSURE] * 3])
    ticks = itertools.count(step=6.0)
    traces = classify(runner, PIXELS, (0.9, 0.9, -1e8), NAMES, clock=lambda: next(ticks))
    assert [step.seconds for step in traces[0].steps] == [2.0, 3.0, 3.0]
    assert [step.seconds for step in traces[1].steps] == [2.0]


def test_huge_logits_do_not_overflow():
    trace = classify(Script([[[1e4, 0.0]] * 3] * 3), PIXELS, None, NAMES)[0]
    assert trace.confidence == 1.0


def test_a_walk_pauses_between_two_steps():
    runner = Script([[UNSURE] * 3, [UNSURE, sure(0), UNSURE], [UNSURE] * 3])
    histories = [[], [], []]
    steps = walk(runner, PIXELS, (0.9, 0.9, 0.9), NAMES, histories)
    assert (next(steps), runner.calls) == (2, [(1, [0, 1, 2])])
    assert (next(steps), runner.calls[1:]) == (3, [(2, [0, 1, 2])])
    assert (next(steps, "end"), runner.calls[2:]) == ("end", [(3, [0, 2])])
    assert [len(history) for history in histories] == [3, 2, 3]


def test_the_time_between_two_steps_counts_for_none():
    now = 0.0
    histories = [[]]

    def clock():
        nonlocal now
        now += 1.0
        return now

    for _ in walk(Script([[UNSURE]] * 3), PIXELS[:1], None, NAMES[:1], histories, clock=clock):
        now += 100.0
    assert [step.seconds for step in histories[0]] == [1.0, 1.0, 1.0]


def test_logits_that_are_not_finite_stop_the_walk_and_name_image_and_step():
    broken = [[UNSURE, sure(1), UNSURE], [UNSURE, UNSURE, [np.nan, 0.0]], [UNSURE] * 3]
    with pytest.raises(NetworkError, match="step 2 gives NaN logits for c"):  # b has left the batch
        classify(Script(broken), PIXELS, (0.9, 0.9, -1e8), NAMES)


def test_an_image_that_stops_before_its_logits_are_broken_has_an_answer():
    broken = [[sure(1)], [[np.inf, 0.0]], [UNSURE]]
    assert classify(Script(broken), PIXELS[:1], (0.9, 0.9, -1e8), ["a"])[0].exit_step == 1


def test_an_action_that_is_nan_stops_the_walk_before_anything_is_cut_out():
    class Lost(Script):
        def propose(self, state):
            return np.full((len(state), 2), [0.25, np.nan], np.float32), state

    runner = Lost([[UNSURE] * 3] * 3)
    with pytest.raises(NetworkError, match="step 2 gives NaN actions for a"):
        classify(runner, PIXELS, None, NAMES)
    assert [step for step, _ in runner.calls] == [1]
