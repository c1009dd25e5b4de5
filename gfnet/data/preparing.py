"""Data sets as they are published, and several as one, as image folders that training takes.

Published layouts are read as they are unpacked or cloned; nothing is downloaded.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from gfnet.data.image_folders import WrittenSplit, write_image_folder
from gfnet.data.splits import FolderSplit, open_split, open_splits
from gfnet.errors import ConfigError, DataError
from gfnet.escaping import one_line
from gfnet.files.formats import IMAGE_SUFFIXES
from gfnet.files.listing import check_folder
from gfnet.files.reading import read_bytes

Prepared = tuple[tuple[str, ...], tuple[WrittenSplit, ...]]
"""Class names, and what was written of each split."""

_GROCERY_SPLITS = {"train": "train", "val": "test", "dev": "val"}  # our name: the published one
_LARGEST_LIST = 64 * 1024**2  # bytes
_CATEGORIES = "101_ObjectCategories"
_BACKGROUND = "BACKGROUND_Google"


def prepare_groceries(
    source: str | Path, out: str | Path, *, size: int | None = None, overwrite: bool = False, strict: bool = False
) -> Prepared:
    """The Grocery Store data set (Klasson, Zhang, Kjellström, WACV 2019) as ``out/{train,val,dev}/<class>/``.

    The published test split becomes ``val``, which results are reported on, and the published validation split
    ``dev``, which lacks some of the classes.  A class is the folder that an image lies in (81 fine-grained ones).

    Args:
        source: the repository ``marcusklasson/GroceryStoreDataset``, or the folder ``dataset`` in it.
        size, overwrite, strict: as in :func:`gfnet.data.image_folders.write_image_folder`.

    Raises:
        DataError: ``source`` is missing or laid out otherwise; a list is empty, names files that are missing,
            lie elsewhere or are in another list too, or classes that ``classes.csv`` or the other lists lack.
        GFNetError: what :func:`gfnet.data.image_folders.write_image_folder` raises.
    """
    root = _grocery_root(Path(source))
    listed = {ours: _read_list(root / f"{published}.txt") for ours, published in _GROCERY_SPLITS.items()}
    everything = [file for files in listed.values() for file in files]
    _check_files(root, everything)
    splits = {ours: _listed_split(root, files) for ours, files in listed.items()}
    _check_grocery_classes(root, splits)
    folders = sorted({root / file.parts[0] for file in everything})
    written = write_image_folder(
        out, splits, sources=folders, kind="groceries data set", size=size, overwrite=overwrite, strict=strict
    )
    return splits["train"].classes, written


def prepare_caltech101(
    source: str | Path,
    out: str | Path,
    *,
    val_share: float = 0.15,
    seed: int = 0,
    size: int | None = None,
    overwrite: bool = False,
    strict: bool = False,
) -> Prepared:
    """Caltech-101 (Li, Andreetto, Ranzato, Perona) without its background class, as ``out/{train,val}/<class>/``.

    It has no published split: of every class a random share goes to ``val``, at least one image, but not all.

    Args:
        source: ``101_ObjectCategories``, the folder that holds it, or torchvision's root, which has it in
            ``caltech101``.
        val_share: of every class, between 0 and 1.
        seed: of the choice, any non-negative integer.
        size, overwrite, strict: as in :func:`gfnet.data.image_folders.write_image_folder`.

    Raises:
        ConfigError: ``val_share`` or ``seed`` is out of range.
        DataError: ``source`` is missing or laid out otherwise, or a class has fewer than two images.
        GFNetError: what :func:`gfnet.data.image_folders.write_image_folder` raises.
    """
    if not 0 < val_share < 1:
        raise ConfigError(f"validation share {val_share} leaves a split empty; use a value above 0 and below 1")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; use 0 or more")
    whole = _without(open_split(_caltech_root(Path(source))), _BACKGROUND)
    chosen = _share_of_each_class(whole, val_share, seed)
    splits = {
        name: FolderSplit(whole.root, whole.classes, tuple(s for i, s in enumerate(whole.samples) if chosen[i] == val))
        for name, val in (("train", False), ("val", True))
    }
    written = write_image_folder(
        out, splits, sources=[whole.root], kind="Caltech-101 data set", size=size, overwrite=overwrite, strict=strict
    )
    return whole.classes, written


def join_folders(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    size: int | None = None,
    overwrite: bool = False,
    strict: bool = False,
) -> Prepared:
    """Several image folders as one with the classes of all, ``out/{train,val}/<class>/``.

    Classes of one name become one class.  Without ``size`` the files are hard links where the file system allows.

    Args:
        sources: two folders or more, each with ``train`` and ``val``.
        size, overwrite, strict: as in :func:`gfnet.data.image_folders.write_image_folder`.

    Raises:
        ConfigError: fewer than two folders, or one twice.
        DataError: one lacks a split, or its splits have different classes.
        GFNetError: what :func:`gfnet.data.image_folders.write_image_folder` raises.
    """
    if len(sources) < 2:
        raise ConfigError("joining takes two folders or more, and then the output folder")
    known: set[Path] = set()
    for source in map(Path, sources):
        if source.resolve() in known:
            raise ConfigError(f"{source}: given twice; its images would be there twice")
        known.add(source.resolve())
    opened = [open_splits(source) for source in sources]
    splits = {name: _joined(parts) for name, parts in zip(("train", "val"), zip(*opened, strict=True), strict=True)}
    folders = [split.root for pair in opened for split in pair]
    written = write_image_folder(
        out, splits, sources=folders, kind="joined data set", size=size, link=True, overwrite=overwrite, strict=strict
    )
    return splits["train"].classes, written


def _grocery_root(source: Path) -> Path:
    check_folder(source, "the repository GroceryStoreDataset or its dataset/")
    names = [f"{published}.txt" for published in _GROCERY_SPLITS.values()]
    for root in (source, source / "dataset"):
        missing = [name for name in names if not (root / name).is_file()]
        if not missing:
            return root
        if len(missing) < len(names):
            raise DataError(f"{root}: no {' and no '.join(missing)} in it; clone or unpack the data set whole")
    raise DataError(f"{source}: neither it nor dataset/ in it holds {', '.join(names)}; give GroceryStoreDataset")


def _read_list(path: Path) -> list[PurePosixPath]:
    """The files that a published list names, each once, in its order.

    A line is a path, in newer versions with the numbers of its fine and its coarse class behind it.
    """
    files: dict[PurePosixPath, None] = {}
    for number, line in enumerate(_read_lines(path), 1):
        if not line.strip():
            continue
        named, *numbers = line.rsplit(",", 2)
        if len(numbers) != 2 or not all(text.strip().isdigit() for text in numbers):
            named = line
        file = PurePosixPath(named.strip())
        wrong = None
        if file.is_absolute() or ".." in file.parts:
            wrong = "leaves the folder"
        elif len(file.parts) < 2:
            wrong = "has no folder to name its class"
        elif file.suffix.lower() not in IMAGE_SUFFIXES:
            wrong = "does not have the name of an image"
        if wrong:
            raise DataError(f"{path}, line {number}: {one_line(repr(str(file)))} {wrong}; get the published list again")
        files[file] = None
    if not files:
        raise DataError(f"{path}: lists no images; get the published list again")
    return list(files)


def _read_lines(path: Path) -> list[str]:
    try:
        return read_bytes(path, _LARGEST_LIST).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text in UTF-8 ({error.reason}); get the published file again") from None


def _check_files(root: Path, files: Sequence[PurePosixPath]) -> None:
    for file, times in Counter(files).items():
        if times > 1:
            raise DataError(f"{root}: two of the lists name {one_line(file)}; get the published lists again")
    missing = [file for file in files if not (root / file).is_file()]
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of the {len(files)} listed files are missing, the first "
            f"{one_line(missing[0])}; clone or unpack the data set whole"
        )


def _listed_split(root: Path, files: Sequence[PurePosixPath]) -> FolderSplit:
    classes = sorted({file.parent.name for file in files})
    labels = {name: label for label, name in enumerate(classes)}
    samples = tuple((str(root / file), labels[file.parent.name]) for file in files)
    return FolderSplit(root, tuple(classes), samples)


def _check_grocery_classes(root: Path, splits: dict[str, FolderSplit]) -> None:
    train, test, val = (set(splits[name].classes) for name in ("train", "val", "dev"))
    for lists, lone in (("train.txt and test.txt", train ^ test), ("train.txt and val.txt", val - train)):
        if lone:
            raise DataError(
                f"{root}: only one of {lists} lists {len(lone)} of the classes, e.g. {one_line(min(lone))}; "
                "get lists of one version"
            )
    table = root / "classes.csv"
    if table.is_file():
        unknown = sorted(train - set(_class_names(table)))
        if unknown:
            raise DataError(
                f"{table}: lacks {len(unknown)} of the {len(train)} classes that the lists name, e.g. "
                f"{one_line(unknown[0])}; get lists and table of one version"
            )


def _class_names(table: Path) -> Iterator[str]:
    """The first column, below a line of titles."""
    try:
        yield from (row[0].strip() for row in list(csv.reader(_read_lines(table)))[1:] if row)
    except csv.Error as error:
        raise DataError(f"{table}: not a table of comma-separated values ({error}); get it again") from None


def _caltech_root(source: Path) -> Path:
    check_folder(source, f"{_CATEGORIES}/ or a folder that holds it")
    for root in (source / "caltech101" / _CATEGORIES, source / _CATEGORIES):
        if root.is_dir():
            return root
    if source.resolve().name == _CATEGORIES or (source / _BACKGROUND).is_dir():
        return source
    raise DataError(
        f"{source}: not {_CATEGORIES}/, nor does it hold that or caltech101/{_CATEGORIES}/; give one of the three"
    )


def _without(split: FolderSplit, name: str) -> FolderSplit:
    classes = tuple(known for known in split.classes if known != name)
    if not classes:
        raise DataError(f"{split.root}: no class but {name}; unpack the data set whole")
    labels = {known: label for label, known in enumerate(classes)}
    kept = ((path, split.classes[label]) for path, label in split.samples)
    return FolderSplit(split.root, classes, tuple((path, labels[known]) for path, known in kept if known != name))


def _share_of_each_class(split: FolderSplit, share: float, seed: int) -> np.ndarray:
    """bool [n]: ``share`` of the images of every class, at least one and not all."""
    labels = split.labels
    chosen = np.zeros(len(labels), bool)
    for label, name in enumerate(split.classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise DataError(f"{split.root / name}: a single image cannot be in train and val; add one or remove it")
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        # Of its own for each class: an image more or less in one changes no other.
        chosen[np.random.default_rng((seed, label)).permutation(members)[:count]] = True
    return chosen


def _joined(parts: Sequence[FolderSplit]) -> FolderSplit:
    classes = sorted({name for part in parts for name in part.classes})
    labels = {name: label for label, name in enumerate(classes)}
    samples = tuple((path, labels[part.classes[label]]) for part in parts for path, label in part.samples)
    return FolderSplit(parts[0].root, tuple(classes), samples)
