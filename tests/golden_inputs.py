"""What the official code was fed besides weights and images: sections 3, 4, 6 and 7 of weights_recipe.md."""

from __future__ import annotations

import numpy as np


def probabilities(steps: int, count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Softmax-like outputs float32 [steps,count,classes] with exact ties, and labels [count] (section 3)."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, count)
    weights = rng.integers(1, 21, (steps, count, classes))
    uniform = rng.random((steps, count))
    square = uniform * uniform
    boost = np.floor(3000.0 * (square * square)).astype(np.int64)
    boost = boost * (2 + np.arange(steps)[:, None]) // 2
    correct = rng.random((steps, count)) < (0.55 + 0.07 * np.arange(steps))[:, None]
    other = (label[None, :] + rng.integers(1, classes, (steps, count))) % classes
    peak = np.where(correct, label[None, :], other)
    step_index, sample_index = np.indices((steps, count))
    weights[step_index, sample_index, peak] += boost
    for copy in range(1, 5):  # four copies in each block of twenty
        source = np.arange(0, count, 20)
        weights[:, source + copy] = np.roll(weights[:, source], copy, axis=2)
        label[source + copy] = (label[source] + copy) % classes
    total = weights.sum(axis=2, keepdims=True)
    return (weights.astype(np.float64) / total.astype(np.float64)).astype(np.float32), label


def degenerate_probabilities() -> tuple[np.ndarray, np.ndarray]:
    """The same with a first step at which all images tie."""
    values, label = probabilities(3, 40, 50, 77)
    values[0] = 0.02
    values[0, :, 0] = 0.5
    label[::2] = 0
    return values, label


def ppo_states(conv: bool, steps: int, batch: int = 8) -> np.ndarray:
    """The feature maps float32 [steps,batch,C,h,w] of one PPO case (section 4)."""
    shape = (960, 4, 4) if conv else (256, 3, 3)
    rng = np.random.default_rng(500 + 10 * int(conv) + steps)
    return np.maximum(rng.standard_normal((steps, batch, *shape)), 0).astype(np.float32)


def classifier_features(feature_dim: int) -> np.ndarray:
    """Five steps' features of four images, float32 [5,4,feature_dim] (section 6)."""
    return np.maximum(np.random.default_rng(31).standard_normal((5, 4, feature_dim)), 0).astype(np.float32)


def pictures() -> list[list[np.ndarray]]:
    """For each of four classes three pictures uint8 [H,W,3] of different sizes (section 7)."""
    sizes = [(256, 320), (300, 240), (224, 224), (333, 500)]
    return [[_picture(9000 + 10 * c + i, *sizes[(c + i) % 4]) for i in range(3)] for c in range(4)]


def _picture(seed: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, (height + 31) // 32, (width + 31) // 32))
    fine = rng.integers(-40, 41, (3, height, width))
    large = np.repeat(np.repeat(coarse, 32, 1), 32, 2)[:, :height, :width]
    return np.clip(large + fine, 0, 255).astype(np.uint8).transpose(1, 2, 0)
