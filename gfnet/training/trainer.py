"""The four stages over whole datasets.

0: the encoders themselves, on full and on shrunk images.  1: encoders and classifier on random patches.
2: the policy, by PPO, on frozen encoders.  3: encoders and classifier again, on the policy's patches.
(NeurIPS 2020, section 3.4; stage 0 stands in for the papers' ImageNet weights.)
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gfnet.checkpoint import Checkpoint, save_checkpoint
from gfnet.cost import cumulative_macs, encoder_macs
from gfnet.data import Batches, PixelDataset, Split
from gfnet.errors import TrainingError
from gfnet.evaluation import evaluate, find_thresholds, predict_all_steps
from gfnet.model import GFNet
from gfnet.progress import Progress
from gfnet.results import Evaluation
from gfnet.training.iterations import (
    IterationResult,
    classifier_iteration,
    encoder_iteration,
    policy_iteration,
    policy_proposer,
    random_proposer,
    set_training_modes,
)
from gfnet.training.optimizers import make_optimizer
from gfnet.training.recipe import STAGES, Recipe

_WARM_UP = 0.05  # share of stage 0

STAGE_NAMES = ("encoders", "random patches", "policy", "fine-tuning")


@dataclass
class Trainer:
    """Trains one network on one dataset.

    Attributes:
        model: trained in place, on its own device.
        recipe: how.
        train: the training split.
        val: the validation split, looked at after each stage.
        out: run folder: ``stage<n>.safetensors`` after each stage, ``model.safetensors`` at the end,
            ``metrics.jsonl`` all along.
        workers: processes that decode images; 0 decodes here and keeps small datasets in memory.
    """

    model: GFNet
    recipe: Recipe
    train: Split
    val: Split
    out: Path
    workers: int = 0
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        classes = len(self.train.classes)
        if classes != self.model.config.num_classes:
            raise TrainingError(
                f"{self.train.root}: {classes} classes, but the network has {self.model.config.num_classes}"
            )
        self.model.to(memory_format=torch.channels_last)
        config = self.model.config
        self.generator = torch.Generator().manual_seed(self.recipe.seed)
        augmentation = self.recipe.augmentation
        self._train_batches = Batches(
            PixelDataset(self.train, config, augmentation=augmentation, keep=self.workers == 0),
            self.recipe.batch_size,
            self.generator,
            flip=augmentation != "none",
            workers=self.workers,
        )
        self._train_pixels = self._still(self.train)
        self._val_pixels = self._still(self.val)

    def run(self, stages: tuple[int, ...] = STAGES) -> Checkpoint:
        """Train ``stages`` in order, evaluate, and save.

        Returns:
            The finished network, on the CPU, with its thresholds, found on the training split, and its results on
            the validation split.

        Raises:
            TrainingError: the loss is no longer a number, or no image could be read.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        for stage in stages:
            self._run_stage(stage)
            self._save(f"stage{stage}.safetensors", None)
        evaluation = self.evaluate()
        for message in {**self._train_batches.unreadable, **self._val_pixels.unreadable}:
            print(f"gfnet: skipped {message}", file=sys.stderr)
        self.model.cpu()  # like a loaded checkpoint, whatever it was trained on
        return self._save("model.safetensors", evaluation)

    def evaluate(self) -> Evaluation:
        """Find thresholds on the training split, without augmentation, and apply them to the validation split."""
        macs = cumulative_macs(self.model)
        train = predict_all_steps(self.model, self._train_pixels, len(self.train.samples), title="thresholds")
        thresholds, budgets = find_thresholds(train, macs)
        val = predict_all_steps(self.model, self._val_pixels, len(self.val.samples), title="validation")
        return evaluate(val, macs, thresholds, budgets)

    def _still(self, split: Split) -> Batches:
        dataset = PixelDataset(split, self.model.config, keep=self.workers == 0)
        if self.recipe.augmentation != "crop" and split is self.train:
            dataset = self._train_batches.dataset  # the same squares: decode and keep them once
        return Batches(dataset, self.recipe.batch_size, workers=self.workers)

    def _run_stage(self, stage: int) -> None:
        if stage == 0:
            self._check_full_images()
        epochs = self.recipe.epochs[stage]
        optimizer = make_optimizer(self.model, stage, self.recipe)
        base_rates = [group["lr"] for group in optimizer.param_groups]
        self._set_modes(stage)
        title = f"stage {stage} ({STAGE_NAMES[stage]})"
        with Progress(title, epochs * len(self.train.samples), "images") as progress:
            for epoch in range(epochs):
                totals = _EpochTotals()
                for index, (pixels, labels) in enumerate(self._train_batches):
                    factor = _rate_factor(stage, epoch, index / len(self._train_batches), epochs)
                    for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
                        group["lr"] = rate * factor
                    result = self._iterate(stage, pixels, labels, optimizer)
                    if not math.isfinite(result.loss):
                        raise TrainingError(
                            f"stage {stage}, epoch {epoch + 1}: the loss became {result.loss} at learning rate "
                            f"{optimizer.param_groups[0]['lr']:.3g}; train with a lower one"
                        )
                    totals.add(result, len(labels))
                    progress.advance(len(labels), f"epoch {epoch + 1}/{epochs}, {totals.describe()}")
                if not totals.images:
                    raise TrainingError(f"{self.train.root}: none of its images could be read")
                self._log({"stage": stage, "epoch": epoch + 1, **totals.metrics()})

    def _check_full_images(self) -> None:
        """Stage 0 shows the local encoder whole images, which one made for a fixed size refuses."""
        config = self.model.config
        try:
            encoder_macs(self.model, config.image_size)
        except (AssertionError, RuntimeError) as error:
            raise TrainingError(
                f"arch {config.arch!r} takes inputs of {config.patch_size} pixels only, so stage 0 cannot train it on "
                f"full images of {config.image_size}; start from trained weights with --init and --stage 1"
            ) from error

    def _set_modes(self, stage: int) -> None:
        """What learns is in train mode; the rest keeps its BatchNorm statistics."""
        if stage == 2:
            self.model.eval()
        elif stage == 0:
            self.model.train()
        else:
            set_training_modes(self.model, train_global=self.recipe.train_global)

    def _iterate(self, stage: int, pixels: Tensor, labels: Tensor, optimizer: Optimizer) -> IterationResult:
        model, recipe = self.model, self.recipe
        images, targets = model.normalise(pixels.to(model.device)), labels.to(model.device)
        if stage == 0:
            return encoder_iteration(model, images, targets, optimizer)
        if stage == 1:
            return classifier_iteration(model, images, targets, random_proposer(self.generator), optimizer, recipe)
        if stage == 2:
            noise = torch.randn(model.config.steps - 1, len(images), 2, generator=self.generator)
            return policy_iteration(model, images, targets, noise.to(images), optimizer, recipe)
        return classifier_iteration(model, images, targets, policy_proposer(model, self.generator), optimizer, recipe)

    def _log(self, values: Mapping[str, Any]) -> None:
        with open(self.out / "metrics.jsonl", "a", encoding="utf-8") as stream:
            stream.write(json.dumps(values) + "\n")

    def _save(self, name: str, evaluation: Evaluation | None) -> Checkpoint:
        checkpoint = Checkpoint(self.model.eval(), self.train.classes, evaluation, self.recipe.to_dict())
        save_checkpoint(self.out / name, checkpoint)
        return checkpoint


def _rate_factor(stage: int, epoch: int, within: float, epochs: int) -> float:
    """Learning rate as a share of the recipe's, ``within`` (0 .. 1) an epoch (0 ..)."""
    if stage == 2:
        return 1.0  # Adam at a fixed rate, as published
    if stage == 0:
        # From scratch, so with a warm-up; and down to zero even when there are only a few epochs.
        progress = (epoch + within) / epochs
        return min(1.0, progress / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))  # a step an epoch, as published


@dataclass
class _EpochTotals:
    """Running means over one epoch."""

    images: int = 0
    loss: float = 0.0
    correct: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, result: IterationResult, count: int) -> None:
        self.images += count
        self.loss += result.loss * count
        self.correct = _added(self.correct, result.correct)
        self.rewards = _added(self.rewards, [reward * count for reward in result.rewards])

    def metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = {
            "images": self.images,
            "loss": self.loss / self.images,
            "top1": [100 * value / self.images for value in self.correct],
        }
        if self.rewards:
            metrics["rewards"] = [value / self.images for value in self.rewards]
        return metrics

    def describe(self) -> str:
        top1 = " ".join(f"{100 * value / self.images:.1f}" for value in self.correct)
        return f"loss {self.loss / self.images:.3f}, top-1 {top1} %"


def _added(totals: list, values) -> list:
    return [a + b for a, b in zip(totals, values, strict=True)] if totals else list(values)
