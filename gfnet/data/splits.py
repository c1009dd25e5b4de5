"""Datasets: splits of images with class names, wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from gfnet.console.notices import notice, some_of
from gfnet.data.class_names import check_same_classes
from gfnet.data.shards import ShardSet, find_shards, open_shards
from gfnet.errors import DataError
from gfnet.escaping import one_line
from gfnet.files.formats import IMAGE_SUFFIXES
from gfnet.files.listing import Found, check_folder, list_files, list_folders, readable_name
from gfnet.inference.images import load_image, tell_passed_over


class Split(Protocol):
    """One split of a dataset, wherever its images lie.

    Attributes:
        root: what to call it in messages.
        classes: class names; a label is an index into them.
        named: whether somebody gave the classes these names; if not, they are numbers.
        labels: int64 [n], the label of every image.
    """

    @property
    def root(self) -> Path: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def named(self) -> bool: ...
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
    def named(self) -> bool:
        return True

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
        """Class names, or numbers where there are no names."""
        return self.shards.classes or tuple(map(str, range(self.shards.num_classes)))

    @property
    def named(self) -> bool:
        return self.shards.classes is not None

    @property
    def labels(self) -> np.ndarray:
        return self.shards.labels

    def with_at_least(self, count: int) -> ShardSplit:
        """The same of that many classes, where their number is only known from the labels."""
        return replace(self, shards=replace(self.shards, num_classes=max(count, self.shards.num_classes)))

    def __len__(self) -> int:
        return len(self.shards)

    def load(self, index: int) -> Image.Image:
        return self.shards.load(index)

    def order(self, generator: np.random.Generator) -> np.ndarray:
        return self.shards.order(generator)


@dataclass(frozen=True)
class RenumberedSplit:
    """A split whose classes go by other numbers.

    Attributes:
        split: where the images lie.
        classes: names by the new numbers; there may be some without an image.
        numbers: the new number of each class of ``split``.
    """

    split: Split
    classes: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def root(self) -> Path:
        return self.split.root

    @property
    def named(self) -> bool:
        return True

    @property
    def labels(self) -> np.ndarray:
        labels: np.ndarray = np.array(self.numbers, np.int64)[self.split.labels]
        return labels

    def __len__(self) -> int:
        return len(self.split)

    def load(self, index: int) -> Image.Image:
        return self.split.load(index)

    def order(self, generator: np.random.Generator) -> np.ndarray:
        return self.split.order(generator)


def open_split(root: str | Path) -> FolderSplit:
    """List a folder of class folders, in the order of torchvision's ``ImageFolder``.

    A class has the name of its folder, see :func:`gfnet.files.listing.readable_name`.  What lies outside the class
    folders or does not have the name of a picture is left out and reported.

    Raises:
        DataError: it does not exist, holds no class folder, a class folder holds no image, or one file lies in two.
    """
    root = Path(root)
    check_folder(root, "one folder of images for each class in it")
    folders, loose = list_folders(root)
    if not folders:
        raise DataError(f"{root}: no class folders; expected one folder of images for each class")
    pictures = [name for name in loose if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    if pictures:
        notice(f"{one_line(root)}: passed over pictures outside the class folders: {some_of(pictures)}")
    passed_over = [name for name in loose if name not in set(pictures)]
    found: list[list[Found]] = []
    for folder in folders:
        linked = (root / folder).is_symlink()
        listing = list_files(root / folder, IMAGE_SUFFIXES)
        found.append([file._replace(linked=file.linked or linked) for file in listing.files])
        passed_over += [f"{folder}/{name}" for name in listing.passed_over]
    tell_passed_over(root, passed_over)
    files = _each_in_one_class(root, found)
    empty = [folder for folder, of_class in zip(folders, files, strict=True) if not of_class]
    if empty:
        word = "folder" if len(empty) == 1 else "folders"
        raise DataError(f"{root}: no images in class {word} {some_of(empty)}; fill or remove {_it(empty)}")
    samples = tuple((file.path, label) for label, of_class in enumerate(files) for file in of_class)
    return FolderSplit(root, tuple(map(readable_name, folders)), samples)


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _each_in_one_class(root: Path, found: list[list[Found]]) -> list[list[Found]]:
    """Files by class, without links to files of another class, which are told.

    Raises:
        DataError: a file lies in two classes alike.
    """
    owners: dict[int, tuple[int, Found]] = {}
    links: set[tuple[int, int]] = set()  # (class, file)
    for label, files in enumerate(found):
        for file in files:
            other, earlier = owners.setdefault(file.identity, (label, file))
            if other == label:
                continue
            if earlier.linked == file.linked:
                raise DataError(f"{file.path}: is the same file as {earlier.path}, of another class; remove one")
            if earlier.linked:
                owners[file.identity] = label, file
            links.add((other if earlier.linked else label, file.identity))
    if not links:
        return found
    names = [file.path for label, files in enumerate(found) for file in files if (label, file.identity) in links]
    notice(f"{one_line(root)}: passed over {len(names):,} links to files of another class: {some_of(names)}")
    return [[file for file in files if (label, file.identity) not in links] for label, files in enumerate(found)]


def open_splits(root: str | Path) -> tuple[FolderSplit, FolderSplit]:
    """The ``train`` and ``val`` splits of an image folder.

    Raises:
        DataError: one is missing or empty, or their classes differ.
    """
    root = Path(root)
    check_folder(root, "train/ and val/ in it (`gfnet synth` makes an example)")
    train, val = open_split(root / "train"), open_split(root / "val")
    check_same_classes(root, train.classes, val.classes)
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
    if isinstance(train, ShardSplit) and isinstance(val, ShardSplit) and not (train.named or val.named):
        # Neither need hold an image of the last classes.
        train, val = (split.with_at_least(len(other.classes)) for split, other in ((train, val), (val, train)))
    check_same_classes(data, train.classes, val.classes)
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


def _in_shards(data: Path, name: str) -> bool:
    """Whether a split is looked for in tar shards rather than in a folder of classes."""
    if data.is_dir():
        return not (data / name).is_dir() and any(data.glob(f"{name}-*.tar"))
    return ".tar" in data.name


def _open_shards(spec: Path, name: str) -> ShardSplit:
    return ShardSplit(spec, open_shards(spec, name if spec.is_dir() else None))
