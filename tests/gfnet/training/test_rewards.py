from __future__ import annotations

import pytest
import torch

from gfnet.training.rewards import confidence_gain, contrastive_gain, true_class_probability


def test_reward_is_the_gain_over_the_step_before():
    probabilities = torch.tensor([[0.25, 0.5], [0.5, 0.25], [0.5, 1.0]])
    assert confidence_gain(probabilities).tolist() == [[0.25, -0.25], [0.0, 0.75]]


def test_the_contrastive_reward_is_the_gain_over_a_random_patch_of_the_same_step():
    probabilities = torch.tensor([[0.25, 0.5], [0.5, 0.25], [0.5, 1.0]])
    at_random = torch.tensor([[0.25, 0.25], [1.0, 0.5]])
    assert contrastive_gain(probabilities, at_random).tolist() == [[0.25, 0.0], [-0.5, 0.5]]


def test_the_true_class_s_probability_is_computed_in_float32():
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    found = true_class_probability(logits.bfloat16(), torch.tensor([1, 1]))
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx([0.7310586, 0.1192029])
