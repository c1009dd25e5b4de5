from __future__ import annotations

import json

import numpy as np
import pytest

from gfnet.evaluation import Predictions
from gfnet_benchmark.internals.solvers import compare_solvers
from network_support import gfnet, one_line


def clear_case(images: int, seed: int) -> Predictions:
    """Step 2 is never better than step 1, step 3 is always right: the geometric rule wastes what it spends on 2."""
    rng = np.random.default_rng(seed)
    confidence = rng.random((3, images), np.float32)
    correct = np.stack([confidence[0] > 0.5, confidence[0] > 0.5, np.ones(images, bool)])
    labels = np.zeros(images, np.int64)
    return Predictions(confidence, np.where(correct, 0, 1).astype(np.int32), correct, labels)


def test_a_rule_that_wastes_is_beaten_beyond_noise():
    result = compare_solvers(clear_case(600, 0), clear_case(800, 1), [1.0, 2.0, 3.0], resamples=20)
    assert (result["images"], result["search_images"]) == (800, 600)
    assert result["mean_gain"] > 5 * result["mean_gain_error"] > 0
    assert result["largest_gain"] == pytest.approx(max(result["gain"]))
    assert result["mean_gain"] == pytest.approx(np.mean(result["gain"]))
    assert result["cost"] == sorted(result["cost"])


def test_the_command_compares_on_a_folder(checkpoint_file, scenes, tmp_path):
    out = tmp_path / "out.json"
    done = gfnet("bench", "solvers", checkpoint_file, "--data", scenes, "--resamples", "5", "--json", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert (result["images"], result["search_images"]) == (40, 60)
    assert "mean gain" in done.output
    missing = gfnet("bench", "solvers", checkpoint_file, "--data", scenes, "--report-split", "none")
    assert "no such folder" in one_line(missing)
