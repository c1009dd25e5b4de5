"""What each stage minimises, as modules: one forward pass from a batch to its loss.

A loop calls them, perhaps through DistributedDataParallel; they know nothing of optimisers, epochs or
files.  Losses are means over the batch they are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gfnet.errors import ConfigError
from gfnet.network.classifier import CascadeClassifier
from gfnet.network.model import GFNet
from gfnet.network.policy import action_log_prob, sample_action
from gfnet.training.ppo import Rollout, confidence_gain, contrastive_gain, ppo_loss, true_class_probability
from gfnet.training.precision import at_least_float32, propose_exactly
from gfnet.training.recipe import PPORecipe, Recipe


@dataclass(frozen=True)
class Outputs:
    """What one forward pass gave.

    Attributes:
        loss: the scalar to minimise.
        correct: bool [steps,B], whether each step's answer is right (stage 0: each encoder's).
        classifier_losses: mean cross-entropy of the answer at each step.
        encoder_losses: mean cross-entropy of the encoder's own head at each step.
    """

    loss: Tensor
    correct: Tensor
    classifier_losses: tuple[Tensor, ...] = ()
    encoder_losses: tuple[Tensor, ...] = ()


class EncoderObjective(nn.Module):
    """Stage 0: the global encoder on shrunk images, the local encoder on full ones, each with its own head."""

    def __init__(self, model: GFNet, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(self, images: Tensor, targets: Tensor) -> Outputs:
        """``images``: normalised [B,3,S,S]; ``targets``: int64 [B]."""
        logits = self.model.encoder_answers(images)
        losses = _losses(logits, targets, self.recipe)
        # Two networks that share nothing: the sum trains each on its own.
        return Outputs(torch.stack(losses).sum(), _correct(logits, targets), encoder_losses=losses)


class ClassifierObjective(nn.Module):
    """Stages 1 and 3: encoders and classifier on random or on the policy's patches (official ``train``).

    The loss sums every step's cross-entropy, and the encoders' own heads' on the same features, weighted
    by the recipe, over T.

    Args:
        follow_policy: stage 3: patches are the policy's with its exploration noise; it takes no gradient.
    """

    def __init__(self, model: GFNet, recipe: Recipe, *, follow_policy: bool) -> None:
        super().__init__()
        self.model, self.recipe, self.follow_policy = model, recipe, follow_policy

    def forward(self, images: Tensor, targets: Tensor, exploration: Tensor) -> Outputs:
        """One loss over all steps.

        Args:
            images: normalised [B,3,S,S].
            targets: int64 [B].
            exploration: [T-1,B,2]: stage 1: the actions, uniform in [0, 1]; stage 3: standard normal noise.
        """
        model = self.model
        with torch.set_grad_enabled(self.recipe.train_global):
            logits, state = model.glance(model.shrink(images))
            encoder_logits = [model.global_encoder.classify(state.feature)]
        all_logits = [logits]
        if self.recipe.joint_patches and not self.follow_policy:
            patches = torch.cat([model.crop(images, action) for action in exploration])
            _, features = model.local_encoder(patches)
            memory = state.memory
            for feature in features.chunk(len(exploration)):
                logits, memory = model.classifier(feature, memory)
                all_logits.append(logits)
                encoder_logits.append(model.local_encoder.classify(feature))
        else:
            for action in exploration:
                if self.follow_policy:
                    with torch.no_grad():
                        mean, state = propose_exactly(model, state)
                        action = sample_action(mean, action)
                logits, state = model.focus(model.crop(images, action), state)
                all_logits.append(logits)
                encoder_logits.append(model.local_encoder.classify(state.feature))
        classifier_losses = _losses(all_logits, targets, self.recipe)
        encoder_losses = _losses(encoder_logits, targets, self.recipe)
        auxiliary = self.recipe.auxiliary_weight * torch.stack(encoder_losses).sum()
        loss = (torch.stack(classifier_losses).sum() + auxiliary) / model.config.steps
        return Outputs(loss, _correct(all_logits, targets), classifier_losses, encoder_losses)


class PolicyObjective(nn.Module):
    """Stage 2: PPO's loss of the policy on a rollout whose returns are normalised already."""

    def __init__(self, model: GFNet, recipe: PPORecipe) -> None:
        super().__init__()
        self.policy, self.recipe = model.policy, recipe

    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """``returns``: normalised [T-1,B]."""
        return ppo_loss(self.policy, rollout, returns, self.recipe)


@torch.no_grad()
def roll_out(
    model: GFNet, images: Tensor, targets: Tensor, noise: Tensor, random_actions: Tensor | None = None
) -> tuple[Rollout, Outputs]:
    """Let the policy act on a batch; the rest of the model should be in eval mode.

    Args:
        images: normalised [B,3,S,S].
        targets: int64 [B].
        noise: standard normal [T-1,B,2], the exploration.
        random_actions: uniform [T-1,B,2], what the contrastive reward compares with; ``None``: the reward
            is the increase over the step before.
    """
    logits, state = model.glance(model.shrink(images))
    all_logits, at_random = [logits], []
    maps, actions, log_probs = [], [], []
    for index, step_noise in enumerate(noise):
        maps.append(state.feature_map)
        mean, state = propose_exactly(model, state)
        action = sample_action(mean, step_noise)
        log_probs.append(action_log_prob(mean, action))
        actions.append(action)
        if random_actions is not None:
            random_logits, _ = model.focus(model.crop(images, random_actions[index]), state)
            at_random.append(true_class_probability(random_logits, targets))
        logits, state = model.focus(model.crop(images, action), state)
        all_logits.append(logits)
    probabilities = torch.stack([true_class_probability(values, targets) for values in all_logits])
    rewards = (
        confidence_gain(probabilities) if not at_random else contrastive_gain(probabilities, torch.stack(at_random))
    )
    losses = tuple(F.cross_entropy(at_least_float32(values), targets) for values in all_logits)
    rollout = Rollout(tuple(maps), torch.stack(actions), torch.stack(log_probs), rewards)
    return rollout, Outputs(torch.stack(losses).mean(), _correct(all_logits, targets), losses)


def make_objective(model: GFNet, stage: int, recipe: Recipe) -> nn.Module:
    """The objective of ``stage`` (0 to 3)."""
    if stage == 0:
        return EncoderObjective(model, recipe)
    if stage == 2:
        return PolicyObjective(model, recipe.ppo)
    return ClassifierObjective(model, recipe, follow_policy=stage == 3)


def prepare_model(model: GFNet, stage: int, recipe: Recipe) -> None:
    """Train mode and gradients for what ``stage`` learns, neither for the rest.

    A global encoder that stages 1 and 3 do not train keeps its BatchNorm statistics.
    """
    learning: list[nn.Module] = list(model.encoders)
    if stage == 2:
        learning = [model.policy]
    elif stage in (1, 3):
        learning = [model.local_encoder, model.classifier, *[model.global_encoder] * recipe.train_global]
    model.eval().requires_grad_(False)
    for part in learning:
        part.train().requires_grad_(True)
    for layer in model.classifier.unreached:
        layer.requires_grad_(False)
    if recipe.freeze_bn and stage in (1, 3):
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def cascade_and_heads(model: GFNet) -> tuple[CascadeClassifier, nn.Linear, nn.Linear]:
    """A cascade, and the heads of the global and the local encoder whose mean it may begin as.

    Raises:
        ConfigError: the classifier is no cascade, or the backbone's head is not linear.
    """
    cascade, glance, focus = model.classifier, model.global_encoder.head, model.local_encoder.head
    if isinstance(cascade, CascadeClassifier) and isinstance(glance, nn.Linear) and isinstance(focus, nn.Linear):
        return cascade, glance, focus
    raise ConfigError(
        f"classifier_start is heads, but {model.config.arch} has a {model.config.classifier} classifier and ends in "
        f"{type(focus).__name__}; only a cascade can begin as the mean of linear heads: use random"
    )


def _losses(all_logits: Sequence[Tensor], targets: Tensor, recipe: Recipe) -> tuple[Tensor, ...]:
    """Mean cross-entropy of each of several logits [B,num_classes]."""
    smoothing = recipe.label_smoothing
    return tuple(F.cross_entropy(at_least_float32(logits), targets, label_smoothing=smoothing) for logits in all_logits)


def _correct(all_logits: list[Tensor], targets: Tensor) -> Tensor:
    return torch.stack([logits.argmax(1) == targets for logits in all_logits])
