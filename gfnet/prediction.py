"""Predictions over whole splits, by however many ranks there are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from gfnet.batches import Batches, PixelDataset
from gfnet.distributed import current_ranks, gather
from gfnet.errors import DataError
from gfnet.evaluation import Predictions, join_predictions, predict_all_steps, summarise
from gfnet.model import GFNet
from gfnet.progress import Progress


def predict_split(
    model: GFNet,
    dataset: PixelDataset,
    *,
    batch_size: int,
    workers: int = 0,
    strict: bool = False,
    title: str = "evaluate",
    watch: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    predict: Callable[..., Predictions] = predict_all_steps,
) -> tuple[Predictions, list[str]]:
    """Run a network over a dataset, each rank over its share; every rank gets all predictions, in order.

    Args:
        strict: stop at the first image that cannot be read.
        watch: what the batches are passed through; it may stop the work.
        predict: like :func:`predict_all_steps`.

    Returns:
        The predictions, and one message for each image that could not be read.

    Raises:
        DataError: no image can be read.
        ImageError: ``strict``, and an image cannot be read.
    """
    share = range(len(dataset))[current_ranks().share(len(dataset))]
    batches = Batches(dataset, batch_size, workers=workers, strict=strict, indices=share)
    mine = []
    with contextlib.suppress(DataError):  # nothing readable in this share; others may have something
        mine.append(predict(model, watch(batches), len(share), title=title))
    parts = gather((mine, list(batches.unreadable)))
    return join_predictions([p for ours, _ in parts for p in ours]), [m for _, messages in parts for m in messages]


@torch.no_grad()
def predict_encoders(
    model: GFNet, batches: Iterable[tuple[Tensor, Tensor]], total: int, *, title: str = "evaluate"
) -> Predictions:
    """Stage 0's two answers: the global encoder's head on shrunk images, the local encoder's on full ones.

    Args:
        batches: pairs of pixels uint8 [B,3,S,S] and labels int64 [B].
        total: number of images, for the progress line.
    """
    model.eval()
    parts = []
    with Progress(title, total, "images", quiet=not current_ranks().is_first) as progress:
        for pixels, targets in batches:
            images = model.normalise(pixels.to(model.device))
            views = ((model.global_encoder, model.shrink(images)), (model.local_encoder, images))
            parts.append(summarise([encoder.classify(encoder(view)[1]) for encoder, view in views], targets))
            progress.advance(len(images))
    return join_predictions(parts)
