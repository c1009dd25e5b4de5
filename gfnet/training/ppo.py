"""Stage 2's learning: what a policy's choice of patches is worth, and proximal policy optimisation on that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gfnet.distributed import sum_over_ranks
from gfnet.network.policy import ACTION_ENTROPY, Policy, action_log_prob
from gfnet.training.precision import at_least_float32
from gfnet.training.recipe import PPORecipe

_RETURN_EPSILON = 1e-5


@dataclass(frozen=True)
class Rollout:
    """What the policy did on one batch; s = T-1 focus steps.

    Attributes:
        feature_maps: s maps [B,C,h,w], what it saw.
        actions: [s,B,2], what it did, noise and clamp included.
        log_probs: [s,B], how likely that was then.
        rewards: [s,B], what came of it.
    """

    feature_maps: tuple[Tensor, ...]
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor


def true_class_probability(logits: Tensor, targets: Tensor) -> Tensor:
    """Softmax probability [B] that ``logits`` [B,num_classes] give the true classes int64 [B]."""
    return at_least_float32(logits).softmax(1).gather(1, targets[:, None]).squeeze(1)


def confidence_gain(true_class_probabilities: Tensor) -> Tensor:
    """How much each focus step raises the true class's probability (NeurIPS 2020, section 3.4).

    [T,B] to [T-1,B]; the first focus step is compared with the glance.
    """
    return true_class_probabilities[1:] - true_class_probabilities[:-1]


def contrastive_gain(true_class_probabilities: Tensor, at_random: Tensor) -> Tensor:
    """How much better each chosen patch is than a random one at the same step (arXiv 2201.03014).

    The papers' expectation over random patches is estimated with one.

    Args:
        true_class_probabilities: [T,B], along the policy's patches.
        at_random: [T-1,B], with the last patch replaced by a random one.
    """
    return true_class_probabilities[1:] - at_random


def discounted_returns(rewards: Tensor, discount: float) -> Tensor:
    """``rewards`` [s,B] to the discounted sums from each step on, [s,B]."""
    returns = rewards.clone()
    for step in range(len(rewards) - 2, -1, -1):
        returns[step] += discount * returns[step + 1]
    return returns


def normalise_returns(parts: Sequence[Tensor]) -> list[Tensor]:
    """Zero mean, unit (unbiased) standard deviation over steps, batch, its parts and all ranks.

    A single value becomes 0.

    Args:
        parts: returns [s,b] of the parts that this rank's batch was divided into.
    """
    count, total = sum_over_ranks([sum(p.numel() for p in parts), sum(float(p.double().sum()) for p in parts)])
    if count < 2:
        return [torch.zeros_like(part) for part in parts]
    mean = total / count
    (squares,) = sum_over_ranks([sum(float((p.double() - mean).square().sum()) for p in parts)])
    return [(part - mean) / (math.sqrt(squares / (count - 1)) + _RETURN_EPSILON) for part in parts]


def replay(policy: Policy, rollout: Rollout) -> tuple[Tensor, Tensor]:
    """What the policy now thinks of a rollout: log-probabilities [s,B] and values [s,B], with gradients.

    All steps' feature maps are encoded together: the linear form's 38 million weights (ResNet-50 at 96) are then
    read once, and their gradient written once.
    """
    hidden = policy.gru.initial(len(rollout.feature_maps[0]))
    encoded = policy.encode(at_least_float32(torch.cat(rollout.feature_maps))).chunk(len(rollout.actions))
    log_probs, values = [], []
    for state, action in zip(encoded, rollout.actions, strict=True):
        hidden = policy.gru(state, hidden)
        log_probs.append(action_log_prob(policy.actor(hidden), action))
        values.append(policy.value(hidden))
    return torch.stack(log_probs), torch.stack(values)


def surrogates(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """The unclipped and the clipped objective, each [s,B]."""
    ratio = torch.exp(log_probs - old_log_probs)
    return ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages


def ppo_loss(policy: Policy, rollout: Rollout, returns: Tensor, recipe: PPORecipe) -> Tensor:
    """The scalar loss of one update.

    Args:
        returns: normalised [s,B].
    """
    log_probs, values = replay(policy, rollout)
    unclipped, clipped = surrogates(log_probs, rollout.log_probs, returns - values.detach(), recipe.clip)
    value_loss = F.mse_loss(values, returns)
    return (
        -torch.minimum(unclipped, clipped).mean()
        + recipe.value_weight * value_loss
        - recipe.entropy_weight * ACTION_ENTROPY
    )
