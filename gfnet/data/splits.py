"""Datasets: splits of images with class names, wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from torchvision.datasets import ImageFolder

from gfnet.data.shards import ShardSet, find_shards, open_shards
from gfnet.errors import DataError
from gfnet.images import load_image


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
    """The ``train`` and ``val`` splits of an image folder.

    Raises:
        DataError: one is missing or empty, or their classes differ.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected train/ and val/ in it (`gfnet synth` makes an example)")
    train, val = open_split(root / "train"), open_split(root / "val")
    check_same_classes(root, train, val)
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
    if not _in_shards(Path(data), "train") and val_data is None:
        return open_splits(data)
    train, val = open_named_split(data, "train"), open_named_split(data, "val", val_data)
    check_same_classes(data, train, val)
    return train, val


def open_named_split(data: str | Path, name: str, val_data: str | Path | None = None) -> Split:
    """One split of what :func:`open_dataset` takes.

    Args:
        name: ``train``, ``val``, or any other folder beside these.

    Raises:
        DataError: it is missing, empty or damaged.
    """
    data = Path(data)
    if name == "val" and val_data is not None:
        if data.is_dir() and ((data / name).is_dir() or _in_shards(data, name)):
            raise DataError(f"{data}: has a validation split itself; leave out --val-data")
        return _open_shards(Path(val_data), name)
    if not _in_shards(data, name):
        if name == "val" and _in_shards(data, "train"):
            raise DataError(f"{data}: no validation shards val-*.tar in it; pass --val-data")
        return open_split(data / name)
    if name == "val" and not data.is_dir():
        data = data.parent
        try:
            find_shards(data, "val")
        except DataError:
            raise DataError(f"{data}: no validation shards val-*.tar in it; pass --val-data") from None
    return _open_shards(data, name)


def check_same_classes(root: str | Path, train: Split, val: Split, name: str = "train") -> None:
    """Refuse two splits, ``name`` and ``val``, that do not tell the same classes apart.

    Raises:
        DataError: the message says which classes only one of them has.
    """
    if train.classes != val.classes:
        only_train = sorted(set(train.classes) - set(val.classes))[:3]
        only_val = sorted(set(val.classes) - set(train.classes))[:3]
        raise DataError(
            f"{root}: {name}/ and val/ have different classes (only in {name}: {only_train}, only in val: "
            f"{only_val}); make them alike"
        )


def with_classes(split: Split, whole: Split) -> Split:
    """A split numbered by the classes of ``whole``, of which it may lack some.

    Raises:
        DataError: it has a class that ``whole`` has not, or lies in shards with other classes.
    """
    if split.classes == whole.classes:
        return split
    unknown = sorted(set(split.classes) - set(whole.classes))[:3]
    if unknown or not isinstance(split, FolderSplit):
        raise DataError(f"{split.root}: other classes than in {whole.root} (only here: {unknown}); make them alike")
    samples = tuple((path, whole.classes.index(split.classes[label])) for path, label in split.samples)
    return FolderSplit(split.root, whole.classes, samples)


def other_class(known: Sequence[str] | None, found: Sequence[str]) -> int | None:
    """The first class, by number, that a network knows under another name than the data.

    Answers and labels are numbers: the same classes in another order are another task.

    Args:
        known: the network's class names, if it has any.
        found: the data's.

    Returns:
        Its number, or ``None``; always ``None`` where one of them has no names, or not as many classes.
    """
    if known is None or len(known) != len(found) or any(all(map(str.isdigit, names)) for names in (known, found)):
        return None
    return next((number for number, names in enumerate(zip(known, found, strict=True)) if len(set(names)) > 1), None)


def _in_shards(data: Path, name: str) -> bool:
    """Whether a split is looked for in tar shards rather than in a folder of classes."""
    if data.is_dir():
        return not (data / name).is_dir() and any(data.glob(f"{name}-*.tar"))
    return ".tar" in data.name


def _open_shards(spec: Path, name: str) -> ShardSplit:
    return ShardSplit(spec, open_shards(spec, name if spec.is_dir() else None))
