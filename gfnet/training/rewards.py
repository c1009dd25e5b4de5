"""What a policy's choice of patches is worth."""

from __future__ import annotations

from torch import Tensor

from gfnet.training.precision import at_least_float32


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
