"""Every image's answers, over whole splits and by however many ranks there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gfnet.choices import Patches
from gfnet.console.progress import Progress
from gfnet.data.batches import Batches, PixelDataset
from gfnet.distributed import current_ranks, gather, on_all_ranks
from gfnet.errors import DataError, NetworkError
from gfnet.inference.finite import check_finite
from gfnet.network.model import GFNet

TOP_K = 5
"""An answer is nearly right if the truth is among so many classes."""

Actions = Callable[[int], Tensor]
"""The actions [T-1,B,2] of a batch of B images."""


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
        correct: np.ndarray = self.predicted == self.labels
        return correct

    def answers(self, exits: np.ndarray) -> Predictions:
        """What images answer at the steps ``exits`` int [n] (0 .. T-1) where they stop, as a single step."""
        confidence, predicted, in_top5 = (
            np.take_along_axis(values, exits[None], axis=0)
            for values in (self.confidence, self.predicted, self.in_top5)
        )
        return Predictions(confidence, predicted, in_top5, self.labels)


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of one or more sets of images as those of all, in order."""
    fields = [field.name for field in dataclasses.fields(Predictions)]
    return Predictions(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in fields))


def _no_predictions(steps: int) -> Predictions:
    shape = (steps, 0)
    return Predictions(
        np.empty(shape, np.float32), np.empty(shape, np.int32), np.empty(shape, bool), np.empty(0, np.int64)
    )


def patch_actions(patches: Patches, steps: int, seed: int = 0) -> Actions | None:
    """Where to look: ``policy``: where it points (``None``); ``random``: anywhere, uniformly; ``centre``.

    Args:
        steps: T.
        seed: of the random patches.
    """
    if patches == "policy":
        return None
    if patches == "centre":
        return lambda images: torch.full((steps - 1, images, 2), 0.5)
    generator = torch.Generator().manual_seed(seed)
    return lambda images: torch.rand(steps - 1, images, 2, generator=generator)


@torch.no_grad()
def run_all_steps(
    model: GFNet, images: Tensor, actions: Sequence[Tensor] | None = None, *, before: int = 0
) -> tuple[list[Tensor], list[Tensor]]:
    """Run every step on normalised ``images`` [B,3,S,S].

    Args:
        actions: T-1 actions [B,2] to take instead of the policy's own.
        before: how many images came before these; errors number them.

    Returns:
        T logits [B,num_classes], and the T-1 actions [B,2] that were taken.

    Raises:
        NetworkError: logits or an action are NaN or infinite.
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
    # Afterwards, as a look at values on a GPU waits for them.
    _check_finite(all_logits[0], "step 1", "logits", before)
    for step, (action, logits) in enumerate(zip(taken, all_logits[1:], strict=True), start=2):
        _check_finite(action, f"step {step}", "actions", before)
        _check_finite(logits, f"step {step}", "logits", before)
    return all_logits, taken


def _check_finite(values: Tensor, source: str, kind: str, before: int) -> None:
    """:func:`gfnet.inference.finite.check_finite` of a batch, whose images are numbered from ``before`` + 1 on."""
    images = [f"image {before + place}" for place in range(1, len(values) + 1)]
    check_finite(values.float().cpu().numpy(), source, kind, images)


def predict_all_steps(
    model: GFNet,
    batches: Iterable[tuple[Tensor, Tensor]],
    total: int,
    *,
    title: str = "evaluate",
    actions: Actions | None = None,
) -> Predictions:
    """Run all steps over a dataset, in eval mode.

    Args:
        batches: pairs of pixels uint8 [B,3,S,S] and labels int64 [B].
        total: number of images, for the progress line.
        actions: where to look instead of where the policy points, see :func:`patch_actions`.

    Raises:
        NetworkError: logits or an action are NaN or infinite.
    """
    was_training = model.training
    model.eval()
    parts = [_no_predictions(model.config.steps)]
    done = 0
    with Progress(title, total, "images", quiet=not current_ranks().is_first) as progress:
        for pixels, targets in batches:
            images = model.normalise(pixels.to(model.device))
            taken = None if actions is None else list(actions(len(images)).to(model.device))
            all_logits, _ = run_all_steps(model, images, taken, before=done)
            parts.append(summarise(all_logits, targets))
            done += len(images)
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


@torch.no_grad()
def predict_encoders(
    model: GFNet, batches: Iterable[tuple[Tensor, Tensor]], total: int, *, title: str = "evaluate"
) -> Predictions:
    """Stage 0's answers: those of the encoders' own heads.

    Args:
        batches: pairs of pixels uint8 [B,3,S,S] and labels int64 [B].
        total: number of images, for the progress line.

    Raises:
        NetworkError: logits are NaN or infinite.
    """
    model.eval()
    parts = [_no_predictions(len(model.encoders))]
    done = 0
    with Progress(title, total, "images", quiet=not current_ranks().is_first) as progress:
        for pixels, targets in batches:
            images = model.normalise(pixels.to(model.device))
            answers = model.encoder_answers(images)
            for name, logits in zip(("global", "local"), answers, strict=False):
                _check_finite(logits, f"the {name} encoder", "logits", done)
            parts.append(summarise(answers, targets))
            done += len(images)
            progress.advance(len(images))
    return join_predictions(parts)


@torch.no_grad()
def predict_split(
    model: GFNet,
    dataset: PixelDataset,
    *,
    batch_size: int,
    indices: Sequence[int] | None = None,
    workers: int = 0,
    strict: bool = False,
    title: str = "evaluate",
    watch: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    predict: Callable[..., Predictions] = predict_all_steps,
) -> tuple[Predictions, list[str]]:
    """Run a network over a dataset, each rank over its share; every rank gets all predictions, in order.

    Args:
        indices: which images; all of them by default.
        strict: stop at the first image that cannot be read.
        watch: what the batches are passed through; it may stop the work.
        predict: like :func:`predict_all_steps`.

    Returns:
        The predictions, and one message for each image that could not be read.

    Raises:
        DataError: no image can be read.
        ImageError: ``strict``, and an image cannot be read.
        NetworkError: the network gives values that are NaN or infinite.
    """
    indices = range(len(dataset)) if indices is None else indices
    share = indices[current_ranks().share(len(indices))]
    batches = Batches(dataset, batch_size, workers=workers, strict=strict, indices=share)

    def work() -> Predictions:
        try:
            return predict(model, watch(batches), len(share), title=title)
        except NetworkError as error:
            raise NetworkError(f"{dataset.split.root}: {error}") from error

    mine = on_all_ranks(work)
    parts = gather((mine, list(batches.unreadable)))
    predictions = join_predictions([part for part, _ in parts])
    if not len(predictions.labels):
        raise DataError(f"{dataset.split.root}: none of the images could be read")
    return predictions, [message for _, messages in parts for message in messages]
