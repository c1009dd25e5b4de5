"""Datasets: splits of images with class names, wherever they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from torchvision.datasets import ImageFolder

from gfnet.errors import DataError
from gfnet.images import load_image
from gfnet.shards import ShardSet, find_shards, open_shards


class Split(Protocol):
    """One split of a dataset, wherever its images lie.

    Attributes:
        root: what to call it in messages.
        classes: class names; a label is an index into them.
        labels: int64 [n], the label of every image.
    """

    @property
    def root(self) -> Path: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> np.ndarray: ...

    def __len__(self) -> int: ...

    def load(self, index: int) -> Image.Image:
        """One image as an upright RGB picture; :class:`ImageError` if it cannot be read."""

    def order(self, generator: np.random.Generator) -> np.ndarray:
        """All indices in a random order, int64 [n]."""


@dataclass(frozen=True)
class FolderSplit:
    """One split of an image folder: ``root/<class>/<file>``.

    Attributes:
        root: the folder of classes.
        classes: class names in alphabetical order.
        samples: (path, label) of every file.
    """

    root: Path
    classes: tuple[str, ...]
    samples: tuple[tuple[str, int], ...]

    @property
    def labels(self) -> np.ndarray:
        return np.array([label for _, label in self.samples], np.int64)

    def __len__(self) -> int:
        return len(self.samples)

    def load(self, index: int) -> Image.Image:
        return load_image(self.samples[index][0])

    def order(self, generator: np.random.Generator) -> np.ndarray:
        return generator.permutation(len(self.samples))


@dataclass(frozen=True)
class ShardSplit:
    """One split in tar shards.

    Attributes:
        root: what the shards were asked for as.
        shards: the samples.
    """

    root: Path
    shards: ShardSet

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, or numbers where nobody wrote names down."""
        return self.shards.classes or tuple(map(str, range(self.shards.num_classes)))

    @property
    def labels(self) -> np.ndarray:
        return self.shards.labels

    def __len__(self) -> int:
        return len(self.shards)

    def load(self, index: int) -> Image.Image:
        return self.shards.load(index)

    def order(self, generator: np.random.Generator) -> np.ndarray:
        return self.shards.order(generator)


def open_split(root: str | Path) -> FolderSplit:
    """List a folder of class folders.

    Raises:
        DataError: it does not exist, holds no class folder, or a class folder holds no image.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected one folder of images for each class in it")
    try:
        folder = ImageFolder(str(root))
    except FileNotFoundError as error:
        if "Found no valid file" in str(error):
            names = str(error).split("classes", 1)[-1].split(".")[0].strip()
            raise DataError(f"{root}: no images in class folder {names}; fill or remove it") from None
        raise DataError(f"{root}: no class folders; expected one folder of images for each class") from None
    return FolderSplit(root, tuple(folder.classes), tuple(folder.samples))


def open_splits(root: str | Path) -> tuple[FolderSplit, FolderSplit]:
    """The ``train`` and ``val`` splits under ``root``.

    Raises:
        DataError: one is missing or empty, or their classes differ.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected train/ and val/ in it (`gfnet synth` makes an example)")
    train, val = open_split(root / "train"), open_split(root / "val")
    _check_same_classes(root, train, val)
    return train, val


def open_dataset(data: str | Path, val_data: str | Path | None = None) -> tuple[Split, Split]:
    """The training and the validation split of a folder of class folders, or of tar shards.

    Args:
        data: a folder with ``train/`` and ``val/``; a folder with ``train-*.tar`` and ``val-*.tar``, as
            ``gfnet pack`` writes it; or training shards alone, e.g. ``shards/train-{000000..000146}.tar``.
        val_data: validation shards; without it those beside the training shards.

    Raises:
        DataError: a split is missing, empty or damaged, or the two have different classes.
    """
    data = Path(data)
    in_shards = val_data is not None or not data.is_dir() or any(data.glob("train-*.tar"))
    if not in_shards or (not data.exists() and ".tar" not in data.name):
        return open_splits(data)
    train = open_shards(data, "train" if data.is_dir() else None)
    val_spec = Path(val_data) if val_data is not None else _beside(data)
    val = open_shards(val_spec, "val" if val_spec.is_dir() else None, num_classes=train.num_classes)
    splits = ShardSplit(data, train), ShardSplit(val_spec, val)
    _check_same_classes(data, *splits)
    return splits


def _beside(data: Path) -> Path:
    """Where the validation shards of the training shards ``data`` are looked for."""
    folder = data if data.is_dir() else data.parent
    try:
        find_shards(folder, "val")
    except DataError:
        raise DataError(f"{folder}: no validation shards val-*.tar in it; pass --val-data") from None
    return folder


def _check_same_classes(root: Path, train: Split, val: Split) -> None:
    if train.classes != val.classes:
        only_train = sorted(set(train.classes) - set(val.classes))[:3]
        only_val = sorted(set(val.classes) - set(train.classes))[:3]
        raise DataError(
            f"{root}: train/ and val/ have different classes (only in train: {only_train}, only in val: "
            f"{only_val}); make them alike"
        )
