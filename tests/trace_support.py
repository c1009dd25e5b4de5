"""What two traces of one image must share."""

from __future__ import annotations

import numpy as np


def assert_same_traces(ours, theirs):
    """Equal in everything but the time they took, to the last bit."""
    assert len(ours) == len(theirs)
    for trace, twin in zip(ours, theirs, strict=True):
        assert (trace.image, trace.exit_step) == (twin.image, twin.exit_step)
        for step, other in zip(trace.steps, twin.steps, strict=True):
            assert (step.step, step.action, step.origin) == (other.step, other.action, other.origin)
            assert (step.class_index, step.confidence) == (other.class_index, other.confidence)
            np.testing.assert_array_equal(step.logits, other.logits)
