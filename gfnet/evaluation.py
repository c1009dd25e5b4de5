"""How good a network is: at every step, and under every budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gfnet.batches import Batches, PixelDataset
from gfnet.cost import cumulative_macs
from gfnet.data import FolderSplit, open_split, open_splits
from gfnet.errors import BudgetError, DataError
from gfnet.exits import exit_steps, mean_cost, measure_thresholds, search_thresholds
from gfnet.images import every_nth
from gfnet.model import GFNet
from gfnet.progress import Progress
from gfnet.results import Evaluation

BUDGETS = 39
"""Number of exit distributions that are searched: q = 0.05, 0.10 .. 1.95 (official ``inference.py``)."""


@dataclass(frozen=True)
class Predictions:
    """Every image's answer at every step; no logits, so memory does not grow with the classes.

    Attributes:
        confidence: float32 [T, n].
        predicted: int32 [T, n], class indices.
        labels: int64 [n].
    """

    confidence: np.ndarray
    predicted: np.ndarray
    labels: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """bool [T, n], whether each step's answer is right."""
        return self.predicted == self.labels


@torch.no_grad()
def run_all_steps(
    model: GFNet, images: Tensor, actions: Sequence[Tensor] | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Run every step on normalised ``images`` [B,3,S,S].

    Args:
        actions: T-1 actions [B,2] to take instead of the policy's own.

    Returns:
        T logits [B,num_classes], and the T-1 actions [B,2] that were taken.
    """
    logits, state = model.glance(model.shrink(images))
    all_logits, taken = [logits], []
    for step in range(1, model.config.steps):
        action, state = model.propose(state)
        if actions is not None:
            action = actions[step - 1]
        logits, state = model.focus(model.crop(images, action), state)
        all_logits.append(logits)
        taken.append(action)
    return all_logits, taken


def predict_all_steps(
    model: GFNet,
    batches: Iterable[tuple[Tensor, Tensor]],
    total: int,
    *,
    title: str = "evaluate",
    random_patches: torch.Generator | None = None,
) -> Predictions:
    """Run all steps over a dataset, in eval mode.

    Args:
        batches: pairs of pixels uint8 [B,3,S,S] and labels int64 [B].
        total: number of images, for the progress line.
        random_patches: look at uniformly random patches drawn from this generator instead of the policy's.

    Raises:
        DataError: no batch came.
    """
    was_training = model.training
    model.eval()
    confidences, predictions, labels = [], [], []
    with Progress(title, total, "images") as progress:
        for pixels, targets in batches:
            images = model.normalise(pixels.to(model.device))
            actions = None
            if random_patches is not None:
                drawn = torch.rand(model.config.steps - 1, len(images), 2, generator=random_patches)
                actions = list(drawn.to(model.device))
            all_logits, _ = run_all_steps(model, images, actions)
            best = [logits.softmax(1).max(1) for logits in all_logits]
            confidences.append(torch.stack([value for value, _ in best]).cpu().numpy())
            predictions.append(torch.stack([index for _, index in best]).int().cpu().numpy())
            labels.append(targets.numpy())
            progress.advance(len(images))
    model.train(was_training)
    if not labels:
        raise DataError("none of the images could be read")
    return Predictions(np.concatenate(confidences, axis=1), np.concatenate(predictions, axis=1), np.concatenate(labels))


def anytime_top1(predictions: Predictions) -> tuple[float, ...]:
    """Accuracy in percent after each step."""
    return tuple(int(row.sum()) * 100.0 / row.size for row in predictions.correct)


def exit_quotas(steps: int, budgets: int = BUDGETS) -> np.ndarray:
    """Share of the images that each step may exit, float32 [budgets, steps]; rows sum to 1."""
    # torch's float32 exp and log, because the official quotas are floored after rounding to float32:
    # numpy's differ in the last bit often enough to let one image more or less go.
    log_quotient = torch.log(torch.arange(1, budgets + 1, dtype=torch.float32) / 20)
    shares = torch.exp(log_quotient[:, None] * torch.arange(1, steps + 1, dtype=torch.float32))
    return (shares / shares.sum(1, keepdim=True)).numpy()


def find_thresholds(predictions: Predictions, macs: Sequence[float]) -> tuple[np.ndarray, tuple[float, ...]]:
    """Thresholds for all budgets, float32 [K,T], and the average multiply-adds each costs on this split."""
    thresholds = search_thresholds(predictions.confidence, exit_quotas(len(macs)))
    budgets = [
        mean_cost(np.bincount(exit_steps(predictions.confidence, row), minlength=len(macs)), macs) for row in thresholds
    ]
    return thresholds, tuple(budgets)


def evaluate(
    predictions: Predictions,
    macs: Sequence[float],
    thresholds: np.ndarray,
    budgets: Sequence[float],
) -> Evaluation:
    """Accuracy and cost of ``predictions`` at every step and under every set of thresholds."""
    points = measure_thresholds(predictions.confidence, predictions.correct, thresholds, macs, budgets)
    return Evaluation(
        images=len(predictions.labels),
        macs=tuple(float(v) for v in macs),
        anytime_top1=anytime_top1(predictions),
        budgeted=points,
    )


def evaluate_folder(
    model: GFNet,
    root: str | Path,
    stored: Evaluation | None,
    *,
    thresholds: Literal["auto", "saved", "search"] = "auto",
    search_images: int | None = None,
    batch_size: int = 64,
    workers: int = 0,
    strict: bool = False,
) -> tuple[Evaluation, list[str]]:
    """Evaluate on ``root/val``, with stored thresholds or with new ones found on ``root/train``.

    Args:
        stored: results that came with the network.
        thresholds: ``saved``: the stored ones; ``search``: found on ``train``; ``auto``: saved if any.
        search_images: use this many training images, drawn evenly, for the search.
        strict: stop at the first image that cannot be read.

    Returns:
        The results, and one message for each image that could not be read.

    Raises:
        DataError: a split is missing or does not fit the network's classes.
        BudgetError: ``saved`` was asked for and nothing is stored.
        ImageError: ``strict``, and an image cannot be read.
    """
    if thresholds == "saved" and stored is None:
        raise BudgetError("no thresholds are stored with this network; use `--thresholds search`")
    search = thresholds == "search" or stored is None
    train, val = open_splits(root) if search else (None, open_split(Path(root) / "val"))
    if len(val.classes) != model.config.num_classes:
        raise DataError(
            f"{val.root}: {len(val.classes)} classes, but the network tells {model.config.num_classes} apart"
        )
    unreadable: list[str] = []

    def predict(split: FolderSplit, title: str) -> Predictions:
        dataset = PixelDataset(split, model.config)
        batches = Batches(dataset, batch_size, workers=workers, strict=strict)
        predictions = predict_all_steps(model, batches, len(split.samples), title=title)
        unreadable.extend(batches.unreadable)
        return predictions

    if train is not None:
        macs: Sequence[float] = cumulative_macs(model)
        if search_images is not None:
            train = dataclasses.replace(train, samples=tuple(every_nth(train.samples, search_images)))
        table, budgets = find_thresholds(predict(train, "thresholds"), macs)
    else:
        assert stored is not None
        macs = stored.macs
        table = np.array([point.thresholds for point in stored.budgeted], np.float32)
        budgets = tuple(point.budget for point in stored.budgeted)
    return evaluate(predict(val, "evaluate"), macs, table, budgets), unreadable


@torch.no_grad()
def full_image_top1(model: GFNet, batches: Iterable[tuple[Tensor, Tensor]], total: int) -> float:
    """Accuracy in percent of the local encoder and its own head, run once on full images.

    Args:
        batches: pairs of pixels uint8 [B,3,S,S] and labels int64 [B].
        total: number of images, for the progress line.
    """
    model.eval()
    correct = images = 0
    with Progress("full images", total, "images") as progress:
        for pixels, targets in batches:
            _, feature = model.local_encoder(model.normalise(pixels.to(model.device)))
            answers = model.local_encoder.classify(feature).argmax(1).cpu()
            correct += int((answers == targets).sum())
            images += len(targets)
            progress.advance(len(targets))
    return 100.0 * correct / images
