"""One iteration of each stage, on one batch.

A loop calls these; they know nothing of epochs, files or learning-rate schedules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from gfnet.model import GFNet, State
from gfnet.policy import action_log_prob, sample_action
from gfnet.training.ppo import Rollout, confidence_gain, ppo_update
from gfnet.training.recipe import Recipe

Proposer = Callable[[State, int], tuple[Tensor, State]]
"""From the state and the index (0 ..) of the focus step to an action [B,2] and the next state."""


@dataclass(frozen=True)
class IterationResult:
    """What one iteration gave.

    Attributes:
        loss: the scalar that was minimised.
        correct: number of right answers at each step.
        classifier_losses: mean cross-entropy of the answer at each step.
        encoder_losses: mean cross-entropy of the encoder's own head at each step.
        rewards: mean reward of each focus step; stage 2 only.
    """

    loss: float
    correct: tuple[int, ...]
    classifier_losses: tuple[float, ...] = ()
    encoder_losses: tuple[float, ...] = ()
    rewards: tuple[float, ...] = ()


def random_proposer(generator: torch.Generator) -> Proposer:
    """Stage 1: uniformly random patches."""

    def propose(state: State, _index: int) -> tuple[Tensor, State]:
        action = torch.rand(len(state.feature), 2, generator=generator)
        return action.to(state.feature.device), state

    return propose


def policy_proposer(model: GFNet, generator: torch.Generator) -> Proposer:
    """Stage 3: the policy's patches with its exploration noise; the policy takes no gradient."""

    def propose(state: State, _index: int) -> tuple[Tensor, State]:
        with torch.no_grad():
            mean, state = model.propose(state)
            noise = torch.randn(mean.shape, generator=generator).to(mean)
            return sample_action(mean, noise), state

    return propose


def set_training_modes(model: GFNet, *, train_global: bool) -> None:
    """Stages 1 and 3: the encoders learn; a global encoder that does not learn keeps its statistics."""
    model.train()
    model.global_encoder.train(train_global)


def encoder_iteration(model: GFNet, images: Tensor, targets: Tensor, optimizer: Optimizer) -> IterationResult:
    """Stage 0: the global encoder on shrunk images, the local encoder on full ones, each with its own head.

    Args:
        images: normalised [B,3,S,S].
        targets: int64 [B].
    """
    logits = [
        encoder.classify(encoder(view)[1])
        for encoder, view in ((model.global_encoder, model.shrink(images)), (model.local_encoder, images))
    ]
    losses = [F.cross_entropy(values, targets) for values in logits]
    loss = torch.stack(losses).sum()  # two networks that share nothing: the sum trains each on its own
    _step(loss, optimizer)
    return IterationResult(loss.item(), _count_correct(logits, targets), encoder_losses=_values(losses))


def classifier_iteration(
    model: GFNet, images: Tensor, targets: Tensor, propose: Proposer, optimizer: Optimizer, recipe: Recipe
) -> IterationResult:
    """Stages 1 and 3: encoders and classifier on proposed patches (official ``train``).

    The loss sums every step's cross-entropy, and the encoders' own heads' on the same features, weighted
    by the recipe, over T.

    Args:
        images: normalised [B,3,S,S].
        targets: int64 [B].
    """
    with torch.set_grad_enabled(recipe.train_global):
        logits, state = model.glance(model.shrink(images))
        encoder_logits = [model.global_encoder.classify(state.feature)]
    all_logits = [logits]
    for index in range(model.config.steps - 1):
        action, state = propose(state, index)
        logits, state = model.focus(model.crop(images, action), state)
        all_logits.append(logits)
        encoder_logits.append(model.local_encoder.classify(state.feature))
    classifier_losses = [F.cross_entropy(values, targets) for values in all_logits]
    encoder_losses = [F.cross_entropy(values, targets) for values in encoder_logits]
    loss = (
        torch.stack(classifier_losses).sum() + recipe.auxiliary_weight * torch.stack(encoder_losses).sum()
    ) / model.config.steps
    _step(loss, optimizer)
    return IterationResult(
        loss.item(), _count_correct(all_logits, targets), _values(classifier_losses), _values(encoder_losses)
    )


def policy_iteration(
    model: GFNet, images: Tensor, targets: Tensor, noise: Tensor, optimizer: Optimizer, recipe: Recipe
) -> IterationResult:
    """Stage 2: the policy, by PPO; the rest of the model is in eval mode and takes no gradient.

    Args:
        images: normalised [B,3,S,S].
        targets: int64 [B].
        noise: standard normal [T-1,B,2], the exploration.
    """
    rollout, all_logits = roll_out(model, images, targets, noise)
    loss = ppo_update(model.policy, optimizer, rollout, recipe.ppo)
    rewards = tuple(rollout.rewards.mean(1).tolist())
    return IterationResult(loss, _count_correct(all_logits, targets), rewards=rewards)


@torch.no_grad()
def roll_out(model: GFNet, images: Tensor, targets: Tensor, noise: Tensor) -> tuple[Rollout, list[Tensor]]:
    """Let the policy act with ``noise`` [T-1,B,2] on a batch: what happened, and every step's logits."""
    logits, state = model.glance(model.shrink(images))
    all_logits, maps, actions, log_probs = [logits], [], [], []
    for step_noise in noise:
        maps.append(state.feature_map)
        mean, state = model.propose(state)
        action = sample_action(mean, step_noise)
        log_probs.append(action_log_prob(mean, action))
        actions.append(action)
        logits, state = model.focus(model.crop(images, action), state)
        all_logits.append(logits)
    true_class = torch.stack([logits.softmax(1).gather(1, targets[:, None]).squeeze(1) for logits in all_logits])
    rollout = Rollout(tuple(maps), torch.stack(actions), torch.stack(log_probs), confidence_gain(true_class))
    return rollout, all_logits


def _step(loss: Tensor, optimizer: Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _count_correct(all_logits: list[Tensor], targets: Tensor) -> tuple[int, ...]:
    return tuple(int((logits.argmax(1) == targets).sum()) for logits in all_logits)


def _values(losses: list[Tensor]) -> tuple[float, ...]:
    return tuple(loss.item() for loss in losses)
