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
from gfnet.distributed import current_ranks
from gfnet.errors import BudgetError, DataError
from gfnet.exits import exit_steps, mean_cost, measure_thresholds, search_thresholds
from gfnet.images import every_nth
from gfnet.model import GFNet
from gfnet.optimal import optimal_thresholds
from gfnet.progress import Progress
from gfnet.results import Evaluation

BUDGETS = 39
"""Number of exit distributions that are searched: q = 0.05, 0.10 .. 1.95 (official ``inference.py``)."""

Solver = Literal["geometric", "optimal"]
SEARCH_SPLITS: dict[Solver, str] = {"geometric": "train", "optimal": "train"}
"""Where thresholds are found by default."""

TOP_K = 5
"""An answer is nearly right if the truth is among so many classes."""


@dataclass(frozen=True)
class Predictions:
    """Every image's answer at every step; no logits, so memory does not grow with the classes.

    Plain arrays, the images on the last axis; everything after the network is computed from them alone.

    Attributes:
        confidence: float32 [T, n].
        predicted: int32 [T, n], class indices.
        in_top5: bool [T, n], whether the truth is among the five likeliest classes, or all if there are fewer.
        labels: int64 [n].
    """

    confidence: np.ndarray
    predicted: np.ndarray
    in_top5: np.ndarray
    labels: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """bool [T, n], whether each step's answer is right."""
        return self.predicted == self.labels

    def answers(self, exits: np.ndarray) -> Predictions:
        """What images answer at the steps ``exits`` int [n] (0 .. T-1) where they stop, as a single step."""
        confidence, predicted, in_top5 = (
            np.take_along_axis(values, exits[None], axis=0)
            for values in (self.confidence, self.predicted, self.in_top5)
        )
        return Predictions(confidence, predicted, in_top5, self.labels)


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several sets of images as those of all, in order.

    Raises:
        DataError: there are none.
    """
    if not parts:
        raise DataError("none of the images could be read")
    fields = [field.name for field in dataclasses.fields(Predictions)]
    return Predictions(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in fields))


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
    parts = []
    with Progress(title, total, "images", quiet=not current_ranks().is_first) as progress:
        for pixels, targets in batches:
            images = model.normalise(pixels.to(model.device))
            actions = None
            if random_patches is not None:
                drawn = torch.rand(model.config.steps - 1, len(images), 2, generator=random_patches)
                actions = list(drawn.to(model.device))
            all_logits, _ = run_all_steps(model, images, actions)
            parts.append(summarise(all_logits, targets))
            progress.advance(len(images))
    model.train(was_training)
    return join_predictions(parts)


def summarise(all_logits: Sequence[Tensor], targets: Tensor) -> Predictions:
    """What is kept of the T logits [B,num_classes] of a batch."""
    logits = torch.stack(list(all_logits))
    confidence, predicted = logits.softmax(2).max(2)
    truth = targets.to(logits.device)[:, None]
    in_top5 = (logits.topk(min(TOP_K, logits.shape[2]), dim=2).indices == truth).any(2)
    return Predictions(
        confidence.cpu().numpy(), predicted.int().cpu().numpy(), in_top5.cpu().numpy(), targets.cpu().numpy()
    )


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
    return thresholds, _mean_costs(predictions, thresholds, macs)


def find_optimal_thresholds(
    predictions: Predictions, macs: Sequence[float], step_ms: Sequence[float] | None = None
) -> tuple[np.ndarray, tuple[float, ...]]:
    """The most accurate thresholds found that cost no more than the geometric ones, and what they cost here.

    Args:
        step_ms: cumulative milliseconds of the steps; the budgets are then times, the geometric rule's.

    Returns:
        float32 [K,T], and the average multiply-adds of each on this split.
    """
    geometric, _ = find_thresholds(predictions, macs)
    cost = np.asarray(macs if step_ms is None else step_ms, np.float64)
    budgets = [float(cost[exit_steps(predictions.confidence, row)].mean()) for row in geometric]
    thresholds = optimal_thresholds(predictions.confidence, predictions.correct, cost.tolist(), budgets, geometric)
    return thresholds, _mean_costs(predictions, thresholds, macs)


def _mean_costs(predictions: Predictions, thresholds: np.ndarray, macs: Sequence[float]) -> tuple[float, ...]:
    exits = (exit_steps(predictions.confidence, row) for row in thresholds)
    return tuple(mean_cost(np.bincount(steps, minlength=len(macs)), macs) for steps in exits)


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


@dataclass(frozen=True)
class FolderEvaluation:
    """What a network achieves on an image folder.

    Attributes:
        evaluations: by solver of the thresholds, the one that was asked for first; ``optimal`` brings the
            geometric rule's along, found and measured on the same images.
        predictions: the answers that were evaluated.
        classes: class names.
        search: which images the thresholds were found on, in words.
        unreadable: one message for each image that could not be read.
    """

    evaluations: dict[str, Evaluation]
    predictions: Predictions
    classes: tuple[str, ...]
    search: str
    unreadable: list[str]

    @property
    def evaluation(self) -> Evaluation:
        """The one that was asked for."""
        return next(iter(self.evaluations.values()))


def evaluate_folder(
    model: GFNet,
    root: str | Path,
    stored: Evaluation | None,
    *,
    thresholds: Literal["auto", "saved", "search"] = "auto",
    solver: Solver = "geometric",
    search_split: str | None = None,
    search_images: int | None = None,
    step_ms: Sequence[float] | None = None,
    batch_size: int = 64,
    workers: int = 0,
    strict: bool = False,
) -> FolderEvaluation:
    """Evaluate on ``root/val``, with stored thresholds or with new ones.

    Args:
        stored: results that came with the network.
        thresholds: ``saved``: the stored ones; ``search``: new ones; ``auto``: saved if there are any, unless
            ``optimal``, or images to search, are asked for.
        solver: how new ones are found: ``geometric`` (the papers' rule) or ``optimal``.
        search_split: folder beside ``val`` to find them on; ``val`` itself gives every second image of each class
            to the search and evaluates on the others.  By default what suits the solver.
        search_images: use this many images, drawn evenly, for the search.
        step_ms: cumulative milliseconds of the steps; ``optimal`` then meets budgets of time.
        strict: stop at the first image that cannot be read.

    Raises:
        DataError: a split is missing or does not fit the network's classes.
        BudgetError: ``saved`` was asked for and nothing is stored, or together with a search.
        ImageError: ``strict``, and an image cannot be read.
    """
    asks_for_search = solver != "geometric" or search_split is not None or search_images is not None
    if thresholds == "saved" and asks_for_search:
        raise BudgetError("saved thresholds are not searched for; drop --thresholds, or --solver and --search-*")
    if thresholds == "saved" and stored is None:
        raise BudgetError("no thresholds are stored with this network; use `--thresholds search`")
    searching = thresholds == "search" or asks_for_search or stored is None
    name = search_split or SEARCH_SPLITS[solver]
    search, val = _open_for_search(Path(root), name) if searching else (None, open_split(Path(root) / "val"))
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

    tables: dict[str, tuple[np.ndarray, tuple[float, ...]]] = {}
    if search is not None:
        macs: Sequence[float] = cumulative_macs(model)
        if search_images is not None:
            search = dataclasses.replace(search, samples=tuple(every_nth(search.samples, search_images)))
        answers = predict(search, "thresholds")
        if solver == "optimal":
            tables["optimal"] = find_optimal_thresholds(answers, macs, step_ms)
        tables["geometric"] = find_thresholds(answers, macs)
        part = "every second image of each class of val, the others evaluated" if name == "val" else name
        found_on = f"{part} ({len(answers.labels)} images)"
    else:
        assert stored is not None
        macs, found_on = stored.macs, "stored with the network"
        tables["saved"] = (
            np.array([point.thresholds for point in stored.budgeted], np.float32),
            tuple(point.budget for point in stored.budgeted),
        )
    predictions = predict(val, "evaluate")
    evaluations = {name: evaluate(predictions, macs, *table) for name, table in tables.items()}
    return FolderEvaluation(evaluations, predictions, val.classes, found_on, unreadable)


def _open_for_search(root: Path, name: str) -> tuple[FolderSplit, FolderSplit]:
    """The images to find thresholds on, and those to evaluate."""
    if name == "val":
        return _halves(open_split(root / "val"))
    if name == "train":
        return open_splits(root)
    search, val = open_split(root / name), open_split(root / "val")
    if search.classes != val.classes:
        raise DataError(f"{root}: {name}/ and val/ have different classes; make them alike")
    return search, val


def _halves(split: FolderSplit) -> tuple[FolderSplit, FolderSplit]:
    """Every second image of each class, from the first, and the others."""
    seen: dict[int, int] = {}
    halves: tuple[list[tuple[str, int]], list[tuple[str, int]]] = ([], [])
    for path, label in split.samples:
        halves[seen.get(label, 0) % 2].append((path, label))
        seen[label] = seen.get(label, 0) + 1
    if not halves[1]:
        raise DataError(f"{split.root}: one image a class cannot be halved; search on another split")
    first, second = (dataclasses.replace(split, samples=tuple(half)) for half in halves)
    return first, second


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
