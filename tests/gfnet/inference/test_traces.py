from __future__ import annotations

import json

import numpy as np

from gfnet.inference.traces import StepTrace, Trace, most_likely

TRACE = Trace(
    "photo.jpg",
    (
        StepTrace(1, None, None, np.array([0.5, 0.25], np.float32), 0.6, 0, 0.001),
        StepTrace(2, (0.25, 0.5), (32, 64), np.array([0.0, 2.0], np.float32), 0.9, 1, 0.002),
    ),
)


def test_json_has_the_documented_fields():
    assert json.loads(json.dumps(TRACE.to_dict(["no", "yes"]))) == {
        "image": "photo.jpg",
        "class_index": 1,
        "label": "yes",
        "confidence": 0.9,
        "exit_step": 2,
        "steps": [
            {"step": 1, "action": None, "origin": None, "class_index": 0, "confidence": 0.6},
            {"step": 2, "action": [0.25, 0.5], "origin": [32, 64], "class_index": 1, "confidence": 0.9},
        ],
    }


def test_logits_are_included_on_request_only():
    assert TRACE.to_dict(logits=True)["steps"][1]["logits"] == [0.0, 2.0]


def test_without_labels_a_class_is_called_by_its_index():
    assert TRACE.to_dict()["label"] == "1"


def test_the_most_likely_class_comes_with_its_softmax_probability():
    logits = np.random.default_rng(0).normal(scale=4, size=(50, 7)).astype(np.float32)
    best, confidence = most_likely(logits)
    assert confidence.dtype == np.float32
    probabilities = np.exp(np.float64(logits)) / np.exp(np.float64(logits)).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(best, probabilities.argmax(axis=1))
    np.testing.assert_allclose(confidence, probabilities.max(axis=1), rtol=1e-6)
