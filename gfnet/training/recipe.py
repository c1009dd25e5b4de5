"""How a network is trained: the published recipe of each family, and the demo's.

Sources: the papers' appendix and the official ``train.py``; stage 0 is this project's own, since the
papers start from ImageNet weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gfnet.config import Augmentation, ModelConfig
from gfnet.errors import ConfigError

STAGES = (0, 1, 2, 3)
STAGE_NAMES = ("encoders", "random patches", "policy", "fine-tuning")

Reward = Literal["increase", "contrastive"]
ClassifierStart = Literal["random", "heads"]


def _check(values: Any, *, positive: tuple[str, ...], not_negative: tuple[str, ...]) -> None:
    for name in positive:
        if not getattr(values, name) > 0:
            raise ConfigError(f"{name} is {getattr(values, name)}; use a value above 0")
    for name in not_negative:
        if not getattr(values, name) >= 0:
            raise ConfigError(f"{name} is {getattr(values, name)}; use 0 or more")


@dataclass(frozen=True)
class PPORecipe:
    """Stage 2's reinforcement learning (Schulman et al. 2017, in the papers' setting).

    Attributes:
        lr: Adam's learning rate.
        betas: Adam's betas.
        discount: gamma, of the returns.
        clip: epsilon of the ratio clip.
        value_weight: of the critic's squared error.
        entropy_weight: of the entropy bonus; the noise is fixed, so it has no gradient.
        updates: passes over each batch's rollout.
        reward: ``increase`` of the true class's probability over the step before (NeurIPS 2020), or
            ``contrastive``: its excess over a random patch in the same place of the sequence (arXiv
            2201.03014), for which every focus step runs the local encoder and the classifier twice.
    """

    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    discount: float = 0.7
    clip: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.01
    updates: int = 1
    reward: Reward = "increase"

    def __post_init__(self) -> None:
        _check(self, positive=("lr", "clip"), not_negative=("discount", "value_weight", "entropy_weight"))
        if self.updates < 1:
            raise ConfigError(f"ppo.updates is {self.updates}; use 1 or more")
        if self.reward not in get_args(Reward):
            raise ConfigError(f"ppo.reward is {self.reward!r}; use increase or contrastive")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a network learns, besides its configuration and the data.

    Attributes:
        epochs: of stages 0, 1, 2 and 3.
        batch_size: images an iteration, over all ranks.
        encoder_lr: SGD's learning rate of the encoders in stages 1 and 3.
        classifier_lr: of the classifier, in stages 1 and 3.
        initial_lr: of the encoders in stage 0, which trains them from scratch.
        momentum: Nesterov momentum.
        weight_decay: on all weights, norms and biases included.
        auxiliary_weight: of the encoders' own per-step losses in stages 1 and 3.
        train_global: whether stages 1 and 3 train the global encoder.
        classifier_start: ``heads``: stage 1 begins with the mean of the encoders' own answers, which a cascade of
            linear layers can say; published is ``random``.
        freeze_bn: stages 1 and 3 keep BatchNorm's statistics as stage 0 left them.
        joint_patches: stage 1 sends all random patches through the encoder as one batch, which changes
            BatchNorm's statistics: faster, not the published way.
        clip_grad_norm: largest norm of all gradients together; ``None`` leaves them as they are.
        augmentation: ``crop``: random resized crops and flips; ``jitter``: brightness, contrast and saturation
            besides; ``flip``: flips only, for data whose telling detail a crop could lose; ``none``.
        least_crop: the smallest share of an image's area that a random crop keeps.
        label_smoothing: what every loss of stages 0, 1 and 3 spreads over all classes, [0, 1).
        ppo: stage 2.
        seed: of everything random.

    Raises:
        ConfigError: a value is out of range; the message names it.
    """

    epochs: tuple[int, int, int, int] = (90, 60, 15, 60)
    batch_size: int = 256
    encoder_lr: float = 0.01
    classifier_lr: tuple[float, float] = (0.1, 0.01)
    initial_lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    auxiliary_weight: float = 1.0
    train_global: bool = True
    classifier_start: ClassifierStart = "random"
    freeze_bn: bool = False
    joint_patches: bool = False
    clip_grad_norm: float | None = None
    augmentation: Augmentation = "crop"
    least_crop: float = 0.08
    label_smoothing: float = 0.0
    ppo: PPORecipe = PPORecipe()
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.epochs) != len(STAGES) or min(self.epochs) < 0:
            raise ConfigError(f"epochs {self.epochs}: give one number, 0 or more, for each of the four stages")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}; use 1 or more")
        _check(self, positive=("encoder_lr", "initial_lr"), not_negative=("weight_decay", "auxiliary_weight", "seed"))
        if min(self.classifier_lr) <= 0:
            raise ConfigError(f"classifier_lr is {self.classifier_lr}; use values above 0")
        if not 0 < self.momentum < 1:
            raise ConfigError(f"momentum is {self.momentum}; use a value between 0 and 1")
        if self.clip_grad_norm is not None and not self.clip_grad_norm > 0:
            raise ConfigError(f"clip_grad_norm is {self.clip_grad_norm}; use a value above 0")
        if self.augmentation not in get_args(Augmentation):
            raise ConfigError(f"augmentation is {self.augmentation!r}; use one of {', '.join(get_args(Augmentation))}")
        if self.classifier_start not in get_args(ClassifierStart):
            raise ConfigError(f"classifier_start is {self.classifier_start!r}; use random or heads")
        if not 0 < self.least_crop <= 1:
            raise ConfigError(f"least_crop is {self.least_crop}; use a value above 0, at most 1")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing is {self.label_smoothing}; use a value from 0 to below 1")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON-ready values."""
        return dataclasses.asdict(self)


_CASCADE = {"encoder_lr": 0.005, "auxiliary_weight": 5.0, "train_global": False}
_FAMILY_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "regnety": {"encoder_lr": 0.02, "weight_decay": 5e-5},
    "mobilenetv3": {**_CASCADE, "epochs": (90, 90, 15, 90)},
    "efficientnet": {**_CASCADE, "epochs": (90, 30, 15, 30)},
}


def recipe_for(config: ModelConfig, **overrides: Any) -> Recipe:
    """The published recipe of ``config``'s family; ResNet's for backbones that were never published.

    Args:
        overrides: any field of :class:`Recipe`; ``None`` keeps the family's value.
    """
    family = next((v for k, v in _FAMILY_RECIPES.items() if config.arch.startswith(k)), {})
    return Recipe(**{**family, **{k: v for k, v in overrides.items() if v is not None}})
