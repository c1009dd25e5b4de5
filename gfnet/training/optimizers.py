"""The optimiser of each stage, and its learning rate along the way."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

from gfnet.network.model import GFNet
from gfnet.training.recipe import Recipe

_WARM_UP = 0.05  # share of stage 0


def make_optimizer(model: GFNet, stage: int, recipe: Recipe) -> Optimizer:
    """Adam on the policy in stage 2, otherwise SGD with Nesterov momentum on what the stage trains.

    Parameter groups: local encoder, global encoder if it is trained, and in stages 1 and 3 the classifier
    at its own rate.  Weight decay is on all weights, norms and biases included (official ``train.py``).
    Fused: one pass over the weights' memory instead of five.

    Args:
        stage: 0 to 3.
    """
    if stage == 2:
        return Adam(model.policy.parameters(), lr=recipe.ppo.lr, betas=recipe.ppo.betas, fused=True)
    if stage == 0:
        groups = [
            {"params": list(encoder.parameters()), "lr": recipe.initial_lr} for encoder in reversed(model.encoders)
        ]
    else:
        encoders = [model.local_encoder] + [model.global_encoder] * recipe.train_global
        groups = [{"params": list(encoder.parameters()), "lr": recipe.encoder_lr} for encoder in encoders]
        rate = recipe.classifier_lr[0 if stage == 1 else 1]
        groups.append({"params": list(model.classifier.parameters()), "lr": rate})
    return SGD(groups, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.weight_decay, fused=True)


def leave_fused_where_layouts_differ(optimizer: Optimizer) -> None:
    """Step one by one where a gradient lies in memory otherwise than its weights.

    The fused kernels walk both as flat arrays and would pair the wrong values.  Autograd gives gradients their
    weights' layout, so this only catches a violation of that rule.
    """
    for group in optimizer.param_groups:
        pairs = ((p, p.grad) for p in group["params"] if p.grad is not None)
        if not all(_same_layout(parameter, gradient) for parameter, gradient in pairs):
            group["fused"] = False
            scaled: Any = optimizer  # GradScaler leaves the division to the fused kernel unless told otherwise
            scaled._step_supports_amp_scaling = False


def _same_layout(first: Tensor, second: Tensor) -> bool:
    strides = zip(first.shape, first.stride(), second.stride(), strict=True)
    return all(a == b for size, a, b in strides if size > 1)


def rate_factor(stage: int, epoch: int, within: float, epochs: int) -> float:
    """Learning rate as a share of the recipe's; a function of the position, so there is no state to restore.

    Args:
        epoch: 0 ..
        within: how much of the epoch is done, 0 .. 1.
        epochs: of the stage.
    """
    if stage == 2:
        return 1.0  # Adam at a fixed rate, as published
    if stage == 0:
        # From scratch, so with a warm-up; and down to zero even when there are only a few epochs.
        progress = (epoch + within) / epochs
        return min(1.0, progress / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))  # a step an epoch, as published
