from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from gfnet.config import PolicyKind
from gfnet.network.policy import ACTION_ENTROPY, Policy, action_log_prob, sample_action
from gfnet.training.ppo import (
    Rollout,
    confidence_gain,
    contrastive_gain,
    discounted_returns,
    normalise_returns,
    ppo_loss,
    replay,
    surrogates,
    true_class_probability,
)
from gfnet.training.recipe import PPORecipe
from golden_inputs import ppo_states
from golden_support import assert_columns, case, fill_module

# Means of order 0.5 out of sums of up to 15,000 float32 products; 5e-7 was seen.
ACTION_ATOL = 1e-5
# (action - mean) / 0.1 squared: such an error is multiplied by up to 20 * noise.
LOG_PROB_ATOL = 2e-4
VALUE_ATOL = 2e-5
# Surrogates scale with the ratio, the exponential of a difference of log-probabilities.
SURROGATE_RTOL, SURROGATE_ATOL = 5e-4, 5e-5
# Elementwise float32 arithmetic on few values.
RETURN_ATOL = 1e-6
# The official float32 loss is itself 3e-5 off its float64 twin after the first, sign-like step of Adam.
LOSS_ATOL = 1e-4
# Float32 gradients: rounding of the log-probabilities, enlarged by clipped ratios; 2e-5 was seen.
GRADIENT_RTOL = 5e-4
# Adam's first steps are the learning rate in the gradient's sign, so a gradient near zero may turn a weight
# by 2 * 3e-4, but only one in thousands; float64 below shows that nothing else differs.
WEIGHT_RTOL, WEIGHT_ATOL = 1e-4, 1e-5
# Float64 leaves rounding only; 5e-14 was seen.
FLOAT64_RTOL, FLOAT64_ATOL = 1e-9, 1e-12
# Encoders' rounding on maps of order 1 reaches values as 1e-5, and log-probabilities ten times stronger.
EVALUATED_VALUE_ATOL = 2e-4
EVALUATED_LOG_PROB_ATOL = 2e-3

CASES = ["conv_s2", "conv_s4", "lin_s2", "lin_s4"]


@dataclass(frozen=True)
class PPOCase:
    """One recorded case: the policy with the recipe's weights, and what it acts on."""

    golden: Mapping[str, np.ndarray]
    policy: Policy
    feature_maps: tuple[Tensor, ...]
    dtype: torch.dtype

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.golden[name]).to(self.dtype)

    @property
    def rollout(self) -> Rollout:
        """What the official code remembered: its own actions and log-probabilities."""
        if self.dtype == torch.float64:
            means = act(self.policy, self.feature_maps)
            actions, log_probs = sample_action(means, self.tensor("eps")), self.tensor("f64_old_logprobs")
        else:
            actions, log_probs = self.tensor("actions"), self.tensor("old_logprobs")
        return Rollout(self.feature_maps, actions, log_probs, self.tensor("rewards").squeeze(1))


@cache
def recipe_policy(kind: PolicyKind, map_shape: tuple[int, int, int], hidden_size: int) -> Policy:
    policy = Policy(map_shape, kind, hidden_size)
    fill_module(policy, "policy")
    return policy


def make_case(name: str, dtype: torch.dtype) -> PPOCase:
    conv, steps = name.startswith("conv"), int(name[-1])
    states = torch.from_numpy(ppo_states(conv, steps)).to(dtype)
    policy = recipe_policy("conv" if conv else "linear", tuple(states.shape[2:]), 256 if conv else 128)
    return PPOCase(case("ppo", f"{name}_"), copy.deepcopy(policy).to(dtype), tuple(states), dtype)


@pytest.fixture(params=CASES)
def single(request) -> PPOCase:
    return make_case(request.param, torch.float32)


@pytest.fixture(params=CASES)
def double(request) -> PPOCase:
    return make_case(request.param, torch.float64)


@torch.no_grad()
def act(policy: Policy, feature_maps: tuple[Tensor, ...]) -> Tensor:
    hidden, means = policy.gru.initial(len(feature_maps[0])), []
    for feature_map in feature_maps:
        mean, hidden = policy(feature_map, hidden)
        means.append(mean)
    return torch.stack(means)


def test_actions_and_their_log_probabilities_are_the_official_ones(single):
    means = act(single.policy, single.feature_maps)
    actions = sample_action(means, single.tensor("eps"))
    np.testing.assert_allclose(means, single.golden["action_mean"], atol=ACTION_ATOL, rtol=0)
    np.testing.assert_allclose(actions, single.golden["actions"], atol=ACTION_ATOL, rtol=0)
    log_probs = action_log_prob(means, actions)
    np.testing.assert_allclose(log_probs, single.golden["act_logprobs"], atol=LOG_PROB_ATOL, rtol=0)


def test_log_probabilities_are_the_official_ones_in_float64(double):
    means = act(double.policy, double.feature_maps)
    log_probs = action_log_prob(means, sample_action(means, double.tensor("eps")))
    np.testing.assert_allclose(log_probs, double.golden["f64_act_logprobs"], atol=FLOAT64_ATOL, rtol=FLOAT64_RTOL)


def test_returns_are_discounted_and_normalised_as_officially(single):
    returns = discounted_returns(single.rollout.rewards, PPORecipe().discount)
    np.testing.assert_allclose(returns, single.golden["discounted"], atol=RETURN_ATOL, rtol=0)
    (normalised,) = normalise_returns([returns])
    np.testing.assert_allclose(normalised, single.golden["normalised"], atol=RETURN_ATOL, rtol=RETURN_ATOL)


@torch.no_grad()
def test_replay_gives_the_official_log_probabilities_and_values(single):
    log_probs, values = replay(single.policy, single.rollout)
    np.testing.assert_allclose(log_probs, single.golden["eval_logprobs"], atol=LOG_PROB_ATOL, rtol=0)
    np.testing.assert_allclose(values, single.golden["eval_values"], atol=VALUE_ATOL, rtol=0)
    np.testing.assert_allclose(ACTION_ENTROPY, single.golden["eval_entropy"], rtol=1e-6)


@torch.no_grad()
def test_replay_gives_the_official_log_probabilities_and_values_in_float64(double):
    log_probs, values = replay(double.policy, double.rollout)
    np.testing.assert_allclose(log_probs, double.golden["f64_eval_logprobs"], atol=FLOAT64_ATOL, rtol=FLOAT64_RTOL)
    np.testing.assert_allclose(values, double.golden["f64_eval_values"], atol=FLOAT64_ATOL, rtol=FLOAT64_RTOL)


@torch.no_grad()
def test_surrogates_are_the_official_ones_clipped_and_unclipped(single):
    rollout, recipe = single.rollout, PPORecipe()
    (returns,) = normalise_returns([discounted_returns(rollout.rewards, recipe.discount)])
    log_probs, values = replay(single.policy, rollout)
    unclipped, clipped = surrogates(log_probs, rollout.log_probs, returns - values, recipe.clip)
    assert (single.golden["surr1"] != single.golden["surr2"]).any()  # some ratios are clipped, or nothing is shown
    np.testing.assert_allclose(unclipped, single.golden["surr1"], rtol=SURROGATE_RTOL, atol=SURROGATE_ATOL)
    np.testing.assert_allclose(clipped, single.golden["surr2"], rtol=SURROGATE_RTOL, atol=SURROGATE_ATOL)


def test_two_updates_change_the_policy_as_officially(single):
    check_two_updates(
        single,
        "",
        loss={"abs": LOSS_ATOL},
        gradients=(GRADIENT_RTOL, WEIGHT_ATOL),
        weights=(WEIGHT_RTOL, WEIGHT_ATOL),
    )


def test_two_updates_change_the_policy_as_officially_in_float64(double):
    exact = (FLOAT64_RTOL, FLOAT64_ATOL)
    check_two_updates(double, "f64_", loss={"rel": FLOAT64_RTOL}, gradients=exact, weights=exact)


def update(policy: Policy, optimizer: torch.optim.Optimizer, rollout: Rollout, recipe: PPORecipe) -> float:
    (returns,) = normalise_returns([discounted_returns(rollout.rewards, recipe.discount)])
    loss = ppo_loss(policy, rollout, returns, recipe)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def check_two_updates(
    ppo: PPOCase,
    prefix: str,
    *,
    loss: Mapping[str, float],
    gradients: tuple[float, float],
    weights: tuple[float, float],
) -> None:
    golden, recipe, rollout = ppo.golden, PPORecipe(), ppo.rollout
    names = golden["param_names"].tolist()
    parameters = dict(ppo.policy.named_parameters())
    assert list(parameters) == names
    assert_columns(parameters, names, golden["params_before"], 1e-12, 1e-12)
    optimizer = torch.optim.Adam(ppo.policy.parameters(), lr=recipe.lr, betas=recipe.betas)
    assert update(ppo.policy, optimizer, rollout, recipe) == pytest.approx(float(golden[f"{prefix}loss"]), **loss)
    assert_columns({k: p.grad for k, p in parameters.items()}, names, golden[f"{prefix}grads"], *gradients)
    assert_columns(parameters, names, golden[f"{prefix}params_after"], *weights)
    second = update(ppo.policy, optimizer, rollout, recipe)
    assert second == pytest.approx(float(golden[f"{prefix}loss_second_update"]), **loss)
    assert_columns(parameters, names, golden[f"{prefix}params_after_second"], *weights)


@torch.no_grad()
def test_released_policies_judge_fixed_actions_as_officially(released):
    expected = released.expected
    actions = torch.full_like(released.actions, float(expected["eval_action"]))
    unused = torch.zeros(actions.shape[:2])
    rollout = Rollout(tuple(released.policy_inputs), actions, log_probs=unused, rewards=unused)
    log_probs, values = replay(released.model.policy, rollout)
    np.testing.assert_allclose(log_probs, expected["eval_logprob"], atol=EVALUATED_LOG_PROB_ATOL, rtol=0)
    np.testing.assert_allclose(values, expected["eval_value"], atol=EVALUATED_VALUE_ATOL, rtol=0)
    np.testing.assert_allclose(ACTION_ENTROPY, expected["eval_entropy"], rtol=1e-6)


def test_a_single_return_is_no_division_by_zero():
    assert [part.tolist() for part in normalise_returns([torch.tensor([[0.3]])])] == [[[0.0]]]


def test_parts_of_a_batch_are_normalised_together():
    returns = torch.randn(2, 9)
    (whole,) = normalise_returns([returns])
    parts = normalise_returns([returns[:, :4], returns[:, 4:]])
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)


# -- rewards


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
