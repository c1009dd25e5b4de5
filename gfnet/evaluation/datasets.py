"""A network on a dataset: thresholds found on one split, accuracy and cost measured on another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gfnet.choices import Patches, Solver, ThresholdSource
from gfnet.data import Split, open_named_split
from gfnet.data.batches import PixelDataset
from gfnet.data.classes import pair_split, with_classes
from gfnet.errors import BudgetError, DataError
from gfnet.evaluation.predictions import Predictions, patch_actions, predict_all_steps, predict_split
from gfnet.evaluation.thresholds import evaluate, find_optimal_thresholds, find_thresholds
from gfnet.inference.budgets import Evaluation
from gfnet.inference.images import every_nth
from gfnet.network.cost import cumulative_macs
from gfnet.network.model import GFNet

SEARCH_SPLIT = "train"
"""Where thresholds are found by default."""


@dataclass(frozen=True)
class DatasetEvaluation:
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


def evaluate_dataset(
    model: GFNet,
    data: str | Path,
    stored: Evaluation | None,
    *,
    labels: Sequence[str] | None = None,
    class_map: str | None = None,
    val_data: str | Path | None = None,
    thresholds: ThresholdSource = "auto",
    solver: Solver = "geometric",
    search_split: str | None = None,
    search_images: int | None = None,
    step_ms: Sequence[float] | None = None,
    patches: Patches = "policy",
    seed: int = 0,
    batch_size: int = 64,
    workers: int = 0,
    strict: bool = False,
) -> DatasetEvaluation:
    """Evaluate on the validation split, with stored thresholds or with new ones; each rank runs its share.

    Args:
        data: what :func:`gfnet.data.open_dataset` takes, and ``val_data`` likewise.
        stored: results that came with the network.
        labels: the network's class names, ``None`` where it has none.
        class_map: how classes of the data map to it, see :func:`gfnet.data.classes.pair_split`.
        thresholds: ``saved``: the stored ones; ``search``: new ones; ``auto``: saved if there are any, unless
            ``optimal``, or images to search, are asked for.
        solver: how new ones are found: ``geometric`` (the papers' rule) or ``optimal``.
        search_split: folder beside ``val`` to find them on; ``val`` itself gives every second image of each class
            to the search and evaluates on the others.  ``train`` by default: the more images the better.
        search_images: use this many images, drawn evenly, for the search.
        step_ms: cumulative milliseconds of the steps; ``optimal`` then meets budgets of time.
        patches: where focus steps look, see :func:`gfnet.evaluation.predictions.patch_actions`; in the search too.
        seed: of random patches.
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
    name = search_split or SEARCH_SPLIT
    pair = partial(pair_split, names=labels, count=model.config.num_classes, class_map=class_map)
    search, val = open_parts(data, val_data, name if searching else None, pair)
    unreadable: list[str] = []

    def predict(part: Part, title: str) -> Predictions:
        predictions, broken = predict_split(
            model,
            PixelDataset(part.split, model.config),
            indices=part.indices,
            batch_size=batch_size,
            workers=workers,
            strict=strict,
            title=title,
            predict=partial(predict_all_steps, actions=patch_actions(patches, model.config.steps, seed)),
        )
        unreadable.extend(broken)
        return predictions

    tables: dict[str, tuple[np.ndarray, tuple[float, ...]]] = {}
    if search is not None:
        macs: Sequence[float] = cumulative_macs(model)
        if search_images is not None:
            search = Part(search.split, every_nth(search.indices, search_images))
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
    evaluations = {solver: evaluate(predictions, macs, *table) for solver, table in tables.items()}
    return DatasetEvaluation(evaluations, predictions, val.split.classes, found_on, unreadable)


@dataclass(frozen=True)
class Part:
    """Some images of a split.

    Attributes:
        split: where they lie.
        indices: which they are.
    """

    split: Split
    indices: Sequence[int]


def open_parts(
    data: str | Path, val_data: str | Path | None, search: str | None, pair: Callable[[Split], Split]
) -> tuple[Part | None, Part]:
    """The images to find thresholds on, if there are to be any, and those to evaluate.

    Args:
        search: folder beside ``val``, or ``val`` itself: every second image of each class, the others are evaluated.
        pair: numbers a split as the network does, or refuses it; see :func:`gfnet.data.classes.pair_split`.

    Raises:
        DataError: a split is missing, does not fit the network, or has classes that ``val`` has not.
    """
    found = open_named_split(data, "val", val_data)
    val = pair(found)
    whole = Part(val, range(len(val)))
    if search is None:
        return None, whole
    if search == "val":
        return _halves(val)
    split = open_named_split(data, search)
    if set(split.classes) <= set(found.classes):
        split = pair(with_classes(split, found))
    else:
        split = with_classes(pair(split), val)
    return Part(split, range(len(split))), whole


def _halves(split: Split) -> tuple[Part, Part]:
    """Every second image of each class, from the first, and the others."""
    labels = split.labels
    rank = np.empty(len(labels), np.int64)  # of every image in its class
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    first, second = (np.flatnonzero(rank % 2 == half).tolist() for half in (0, 1))
    if not second:
        raise DataError(f"{split.root}: one image a class cannot be halved; search on another split")
    return Part(split, first), Part(split, second)
