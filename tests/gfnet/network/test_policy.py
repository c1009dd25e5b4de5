from __future__ import annotations

import math

import numpy as np
import torch

from gfnet.network.policy import ACTION_ENTROPY, ACTION_STD, action_log_prob, sample_action

# The GRU's state is of order 1; the encoders' rounding reaches it as 2e-5 at most.
HIDDEN_ATOL = 2e-4
# 256 or 1024 of those of either sign.
HIDDEN_SUM_ATOL = 2e-3


def test_memory_is_the_official_hidden_state(released):
    expected = released.expected
    np.testing.assert_allclose(released.hidden[:, :, :8], expected["policy_hidden_first8"], atol=HIDDEN_ATOL, rtol=0)
    np.testing.assert_allclose(
        released.hidden.double().sum(2), expected["policy_hidden_sum"], atol=HIDDEN_SUM_ATOL, rtol=0
    )


def test_policy_sees_the_feature_map_of_the_step_before(released):
    for seen, returned in zip(released.policy_inputs, released.feature_maps, strict=False):
        assert torch.equal(seen, returned)


def test_log_probability_is_the_gaussian_density():
    mean, action = torch.rand(3, 4, 2), torch.rand(3, 4, 2)
    gaussian = torch.distributions.Independent(torch.distributions.Normal(mean, ACTION_STD), 1)
    torch.testing.assert_close(action_log_prob(mean, action), gaussian.log_prob(action))
    assert math.isclose(ACTION_ENTROPY, gaussian.entropy()[0, 0].item(), rel_tol=1e-6)


def test_samples_stay_in_the_image():
    mean = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    noise = torch.tensor([[-3.0, 3.0], [1.0, -1.0]])
    torch.testing.assert_close(sample_action(mean, noise), torch.tensor([[0.0, 1.0], [0.6, 0.4]]))
