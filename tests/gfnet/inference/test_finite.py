from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from gfnet.checkpoint import load_checkpoint, save_checkpoint
from gfnet.errors import NetworkError
from gfnet.inference.finite import check_finite
from gfnet.inference.traces import most_likely
from network_support import gfnet, one_line


@pytest.mark.parametrize(
    ("value", "found"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")], ids=["nan", "inf", "-inf"]
)
def test_the_first_image_whose_values_are_not_finite_is_named(value, found):
    logits = np.zeros((3, 4), np.float32)
    logits[1:, 2] = value
    with pytest.raises(NetworkError, match=f"^step 2 gives {found} logits for b: the network's weights are damaged"):
        check_finite(logits, "step 2", "logits", ["a", "b", "c"])


def test_an_image_without_a_name_is_left_out():
    with pytest.raises(NetworkError, match=r"^step 3 gives NaN actions: the network"):
        check_finite(np.full((1, 2), np.nan), "step 3", "actions", [""])


def test_the_largest_finite_values_and_a_single_class_pass_and_have_a_confidence():
    largest = np.finfo(np.float32).max
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for logits in ([[largest, -largest, 0]], [[largest]], [[-largest]]):
            check_finite(np.float32(logits), "step 1", "logits", ["a"])
            best, confidence = most_likely(np.float32(logits))
            assert (best.tolist(), confidence.tolist()) == ([0], [1.0])


BROKEN = {
    "global_encoder.net.fc.weight": "step 1 gives NaN logits",
    "policy.actor.0.weight": "step 2 gives NaN actions",
    "local_encoder.net.fc.weight": None,  # decides nothing
    "classifier.fc_2.bias": "step 2 gives NaN logits",
    "classifier.fc_3.bias": "step 3 gives NaN logits",
}


def broken_network(checkpoint_file, folder, part, value):
    """A copy of a network with one damaged weight."""
    loaded = load_checkpoint(checkpoint_file)
    with torch.no_grad():
        loaded.model.get_parameter(part).view(-1)[0] = value
    path = folder / "broken.safetensors"
    save_checkpoint(path, loaded)
    return path


@pytest.mark.parametrize(("part", "message"), BROKEN.items(), ids=BROKEN)
def test_a_network_with_one_nan_is_refused_by_whatever_runs_it(part, message, checkpoint_file, scenes, tmp_path):
    path = broken_network(checkpoint_file, tmp_path, part, float("nan"))
    photo = next((scenes / "val" / "star").iterdir())
    for command in (
        ("evaluate", path, "--data", scenes, "--thresholds", "saved"),
        ("evaluate", path, "--data", scenes, "--thresholds", "saved", "--json", tmp_path / "found.json"),
        ("predict", path, photo, "--all-steps"),
        ("visualize", path, photo, "--all-steps", "--out", tmp_path / "gallery"),
        ("calibrate", path, tmp_path / "calibrated.safetensors", "--data", scenes),
    ):
        result = gfnet(*command)
        if message is None:
            assert result.exit_code == 0, result.output
        else:
            assert message in one_line(result)
    made = {file.name for file in tmp_path.iterdir()}
    assert made == ({"broken.safetensors"} if message else made)


def test_an_evaluation_says_in_which_split_and_for_which_image(checkpoint_file, scenes, tmp_path):
    path = broken_network(checkpoint_file, tmp_path, "classifier.fc_2.bias", float("-inf"))
    line = one_line(gfnet("evaluate", path, "--data", scenes, "--thresholds", "search"))
    assert f"{scenes / 'train'}: step 2 gives infinite logits for image 1: " in line


def test_a_random_patch_does_not_ask_a_policy_that_is_damaged(checkpoint_file, scenes, tmp_path):
    path = broken_network(checkpoint_file, tmp_path, "policy.actor.0.weight", float("nan"))
    assert gfnet("evaluate", path, "--data", scenes, "--thresholds", "saved", "--patches", "random").exit_code == 0
