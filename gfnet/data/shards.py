"""Samples in tar shards, WebDataset's layout, read by random access.

Members of a shard that share a name up to its first dot are one sample: ``cat/0001.jpg`` is its image and
``cat/0001.cls`` its label, a decimal number.  One pass over a shard's headers finds where every image lies; the
result is kept beside the shard (``<shard>.index.npy``), so that a million samples open in a moment and are
shuffled, resumed and dealt to ranks like files in a folder.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import json
import os
import re
import tarfile
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from gfnet.errors import DataError, GFNetError, ImageError
from gfnet.files import atomic_file
from gfnet.images import SUFFIXES, load_image
from gfnet.progress import Progress

CLASSES_FILE = "classes.json"
"""Class names, a list in the order of the labels, beside the shards."""

INDEX_SUFFIX = ".index.npy"
"""What an index's name has after its shard's."""

IMAGE_EXTENSIONS = frozenset(suffix.removeprefix(".") for suffix in SUFFIXES)

_INDEX_VERSION = 1
_COLUMNS = 4  # where the member's header begins, where its image begins, the image's bytes, the label
_MOST_DIGITS = 9  # of a label
_MOST_LABEL = 64  # bytes that are read of one
_MOST_FILES = 1_000_000  # that braces may name
_INDEXERS = 8  # threads; a disk on the network answers several at once
_MOST_OPEN = 64  # shards, in one process
_BLOCK = tarfile.BLOCKSIZE
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_META = re.compile(r"__[^/]*__($|/)")  # WebDataset skips such members
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd


@dataclass(frozen=True, eq=False)
class ShardSet:
    """Samples of several shards, numbered through in the shards' order.

    It may be sent to other processes, forked or spawned: each opens files of its own, at most 64 at a time.

    Attributes:
        shards: the tar files.
        classes: class names, or ``None`` where no ``classes.json`` lies beside the shards.
        num_classes: every label is below it.
        starts: int64 [len(shards) + 1]; shard ``s`` holds the samples ``starts[s]`` to ``starts[s + 1] - 1``.
        index: int64 [N,4]: where the member's header and its image begin in the shard, the image's size, all
            three in bytes, and the label.
        stamps: size in bytes and time of change in ns of every shard when it was indexed.
    """

    shards: tuple[Path, ...]
    classes: tuple[str, ...] | None
    num_classes: int
    starts: np.ndarray
    index: np.ndarray
    stamps: tuple[tuple[int, int], ...]
    _files: _Files = field(default_factory=lambda: _Files(), repr=False)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def labels(self) -> np.ndarray:
        """The label of every sample, int64 [N]."""
        return self.index[:, 3]

    def read(self, sample: int) -> bytes:
        """The image file of one sample, as it was packed.

        Raises:
            DataError: the shard is gone, or changed since it was indexed.
            IndexError: there is no such sample.
        """
        shard = self._shard_of(sample)
        _, offset, size, _ = self.index[sample].tolist()
        path = self.shards[shard]
        try:
            opened = self._files.open(path, self.stamps[shard])
            data = os.pread(opened.descriptor, size, offset)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and its disk") from error
        if len(data) != size:
            raise DataError(f"{path}: ends inside a sample; it was cut short since it was opened, start again")
        return data

    def load(self, sample: int) -> Image.Image:
        """The image of one sample as an upright 8-bit RGB picture.

        Raises:
            ImageError: it cannot be decoded; the message gives its :meth:`name`.
            DataError: as for :meth:`read`.
        """
        data = self.read(sample)
        try:
            return load_image(data)
        except ImageError:
            return load_image(data, self.name(sample))  # fails again, with the name, which takes a look-up

    def name(self, sample: int) -> str:
        """A sample by shard and member, for messages: ``shards/train-000003.tar: cat/0001.jpg``."""
        shard = self._shard_of(sample)
        path = self.shards[shard]
        return f"{path}: {_member_name(path, int(self.index[sample, 0])) or f'sample {sample - self.starts[shard]}'}"

    def order(self, generator: np.random.Generator, window: int = 8) -> np.ndarray:
        """All samples in a random order that reads from few shards at a time, int64 [N].

        The shards are shuffled; then the samples of ``window`` shards after another are mixed among themselves.
        The same generator state gives the same order.  Up to ``window`` shards it is an even shuffle.
        """
        shards = generator.permutation(len(self.shards))
        parts = []
        for first in range(0, len(shards), window):
            near = [np.arange(self.starts[s], self.starts[s + 1]) for s in shards[first : first + window]]
            parts.append(generator.permutation(np.concatenate(near)))
        return np.concatenate(parts)

    def _shard_of(self, sample: int) -> int:
        if not 0 <= sample < len(self.index):
            raise IndexError(f"sample {sample} of {len(self.index)}")
        return int(np.searchsorted(self.starts, sample, side="right")) - 1


def open_shards(spec: str | Path, split: str | None = None, *, num_classes: int | None = None) -> ShardSet:
    """Open shards; those not indexed yet are indexed, which reads each once.

    Args:
        spec: what :func:`find_shards` takes.
        split: ``train`` or ``val``, if ``spec`` names a folder.
        num_classes: how many classes there are; without it as many as ``classes.json`` beside the shards names,
            and without that as many as the labels show.

    Raises:
        DataError: there are no such shards, one cannot be read or has a sample that is not whole,
            ``classes.json`` is broken or disagrees with ``num_classes``, or a label has no class.
    """
    shards = find_shards(spec, split)
    classes = _read_classes(shards)
    if classes is not None and num_classes is not None and len(classes) != num_classes:
        raise DataError(
            f"{shards[0].parent / CLASSES_FILE}: names {len(classes)} classes, but {num_classes} were asked for; "
            "make them agree"
        )
    stamps = tuple(map(_stamp, shards))
    found = [load_index(shard) for shard in shards]
    missing = [number for number, index in enumerate(found) if index is None]
    if missing:
        with Progress("index", len(missing), "shards") as progress, ThreadPoolExecutor(_INDEXERS) as pool:
            made = pool.map(index_shard, [shards[number] for number in missing])
            for number, index in zip(missing, made, strict=True):
                found[number] = index
                with contextlib.suppress(GFNetError):  # a read-only place: indexed again next time
                    save_index(shards[number], index)
                progress.advance()
    indexes = [index for index in found if index is not None]
    counts = np.array([len(index) for index in indexes])
    samples = np.concatenate(indexes)
    samples.setflags(write=False)
    known = len(classes) if classes is not None else num_classes
    total = known if known is not None else int(samples[:, 3].max()) + 1
    shard_set = ShardSet(shards, classes, total, np.concatenate([[0], np.cumsum(counts)]), samples, stamps)
    outside = np.flatnonzero(shard_set.labels >= total)
    if len(outside):
        raise DataError(
            f"{shard_set.name(int(outside[0]))}: its cls is {shard_set.labels[outside[0]]}, outside 0 to {total - 1} "
            f"of the {total} classes; correct {CLASSES_FILE} or the shard ({len(outside)} such samples)"
        )
    return shard_set


def find_shards(spec: str | Path, split: str | None = None) -> tuple[Path, ...]:
    """The tar files that ``spec`` names.

    Args:
        spec: a tar; a pattern with ``*``; names with brace ranges and lists, ``train-{000000..000146}.tar`` or
            ``{a,b}/train-0.tar``; or a folder that holds ``train-*.tar`` and ``val-*.tar``.
        split: ``train`` or ``val``, for a folder.

    Raises:
        DataError: a file that braces name is missing (the first is named), a pattern matches nothing, or a
            folder is given without a split.
    """
    shards: dict[Path, None] = {}  # ordered, without repeats
    missing = []
    names = [str(spec)] if Path(spec).exists() else list(_expand_braces(str(spec)))
    for name in names:
        path = Path(name)
        if path.is_dir():
            shards.update(dict.fromkeys(_in_folder(path, split)))
        elif path.exists():
            shards[path] = None
        elif glob.has_magic(name):
            matches = [Path(match) for match in sorted(glob.glob(name)) if not match.endswith(INDEX_SUFFIX)]
            if not matches:
                raise DataError(f"{name}: matches no file; check the folder and the pattern")
            shards.update(dict.fromkeys(matches))
        else:
            missing.append(name)
    if missing:
        among = f" (the first of {len(missing)} missing of the {len(names)} in {spec})" if len(names) > 1 else ""
        raise DataError(f"{missing[0]}: no such shard{among}; check the path and the range")
    return tuple(shards)


def index_shard(shard: str | Path) -> np.ndarray:
    """Where the images of a shard lie, from one pass over its headers: int64 [N,4] as in :class:`ShardSet`.

    Groups of members with neither an image nor a ``cls`` are no samples and are passed over.

    Raises:
        DataError: it is no tar, is compressed or cut short, holds no sample, or has a sample without image or
            label, with two of them, or with a label that is no number from 0 to 999,999,999.
    """
    shard = Path(shard)
    rows = array("q")  # 8 bytes a number where a list of tuples would need 20 times that
    try:
        with open(shard, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for sample in _samples(shard, tar, stream.fileno()):
                rows.extend(sample)
    except (tarfile.TarError, ValueError, EOFError) as error:
        with open(shard, "rb") as stream:
            if stream.read(8).startswith(_COMPRESSED):
                raise DataError(f"{shard}: is compressed; unpack it to a plain .tar first") from None
        raise DataError(f"{shard}: no whole tar file ({error}); copy or pack it again") from error
    except OSError as error:
        raise DataError(f"{shard}: cannot be read ({error.strerror}); check the file and its permissions") from error
    if not rows:
        raise DataError(f"{shard}: holds no samples; remove it, or pack pairs of an image and a .cls file")
    return np.array(rows, np.int64).reshape(-1, _COLUMNS)


def save_index(shard: str | Path, index: np.ndarray) -> None:
    """Keep a shard's index beside it, whole or not at all.

    Raises:
        GFNetError: the place is not writable.
    """
    shard = Path(shard)
    with atomic_file(_index_path(shard)) as temporary, open(temporary, "wb") as stream:
        np.save(stream, np.vstack([[_INDEX_VERSION, *_stamp(shard), len(index)], index]))


def load_index(shard: str | Path) -> np.ndarray | None:
    """The index kept beside a shard, or ``None`` if there is none, or the shard changed since."""
    shard = Path(shard)
    try:
        table = np.load(_index_path(shard), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # absent, or damaged: it is only a copy of what the shard says
    if table.dtype != np.int64 or table.ndim != 2 or table.shape[1] != _COLUMNS or len(table) < 2:
        return None
    if table[0].tolist() != [_INDEX_VERSION, *_stamp(shard), len(table) - 1]:
        return None
    return table[1:]


class _OpenFile:
    """A file descriptor that is closed when nobody holds it any more."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class _Files:
    """Shards kept open.

    ``os.pread`` has no position, so descriptors inherited by a forked process are as good as its own.  A
    spawned one starts with none.
    """

    def __init__(self) -> None:
        self.opened: dict[Path, _OpenFile] = {}

    def __reduce__(self) -> tuple[type[_Files], tuple[()]]:
        return _Files, ()

    def open(self, path: Path, stamp: tuple[int, int]) -> _OpenFile:
        """Open ``path``, or give the open one; a caller that keeps it can read on whatever others open."""
        opened = self.opened.get(path)
        if opened is None:
            opened = _OpenFile(path)
            found = os.fstat(opened.descriptor)
            if (found.st_size, found.st_mtime_ns) != stamp:
                raise DataError(f"{path}: changed since it was indexed; start again")
            if len(self.opened) >= _MOST_OPEN:
                self.opened.clear()
            self.opened[path] = opened
        return opened


def _samples(shard: Path, tar: tarfile.TarFile, descriptor: int) -> Iterator[tuple[int, int, int, int]]:
    """Rows of the index."""
    for key, members in itertools.groupby(_named_members(tar, descriptor), lambda named: named[0]):
        image: tarfile.TarInfo | None = None
        label: int | None = None
        for _, extension, member in members:
            if extension in IMAGE_EXTENSIONS:
                if image is not None:
                    raise DataError(f"{shard}: sample {key} has two images, {image.name} and {member.name}; keep one")
                image = member
            elif extension == "cls":
                if label is not None:
                    raise DataError(f"{shard}: sample {key} has two cls files; keep one")
                text = os.pread(descriptor, min(member.size, _MOST_LABEL), member.offset_data)
                if len(text) < min(member.size, _MOST_LABEL):
                    raise tarfile.ReadError("cut short")
                label = _label(shard, key, text)
        if image is not None and label is not None:
            yield image.offset, image.offset_data, image.size, label
        elif image is not None or label is not None:
            lacks = "cls file" if image is not None else "image"
            raise DataError(
                f"{shard}: sample {key} has no {lacks}; put an image and its .cls, named alike, one after the other"
            )


def _named_members(tar: tarfile.TarFile, descriptor: int) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """(key, lower-case extension, member) of every file, the name cut at its first dot as WebDataset does."""
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
        folder, slash, name = member.name.rpartition("/")
        stem, dot, extension = name.partition(".")
        whole = member.isreg() and not member.issparse()
        if whole and stem and dot and not _META.match(member.name):
            yield folder + slash + stem, extension.lower(), member
    # tarfile takes the end of the file, and even a damaged header, for the end of the archive.
    if os.pread(descriptor, _BLOCK, tar.offset) != bytes(_BLOCK):
        raise tarfile.ReadError("cut short or damaged")


def _label(shard: Path, key: str, text: bytes) -> int:
    digits = text.strip()
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        shown = text[:20].decode("ascii", "backslashreplace")
        raise DataError(f"{shard}: the cls of sample {key} is {shown!r}; it must be a class number, 0 or more")
    return int(digits)


def _member_name(shard: Path, header: int) -> str | None:
    """The name of the member whose header begins there; messages must not fail, so ``None`` if it is gone."""
    try:
        with open(shard, "rb") as stream:
            stream.seek(header)
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                member = tar.next()
                return member.name if member is not None else None
    except (tarfile.TarError, ValueError, EOFError, OSError):
        return None


def _expand_braces(name: str) -> Iterator[str]:
    """``a{08..10}`` is a08, a09, a10; ``{a,b}`` is a, b; other braces stand for themselves."""
    pieces: list[list[str]] = []
    count = 1
    for number, text in enumerate(_BRACES.split(name)):
        if number % 2 == 0:
            pieces.append([text])
        elif match := _RANGE.fullmatch(text):
            first, last = int(match[1]), int(match[2])
            count *= abs(last - first) + 1
            if count > _MOST_FILES:
                raise DataError(f"{name}: names more than {_MOST_FILES:,} files; correct the range")
            padded = any(len(end) > 1 and end.startswith("0") for end in match.groups())
            width = max(map(len, match.groups())) if padded else 0
            step = 1 if first <= last else -1
            pieces.append([f"{value:0{width}d}" for value in range(first, last + step, step)])
        else:
            pieces.append(text.split(",") if "," in text else [f"{{{text}}}"])
            count *= len(pieces[-1])
    return map("".join, itertools.product(*pieces))


def _in_folder(folder: Path, split: str | None) -> list[Path]:
    if split is None:
        raise DataError(f"{folder}: is a folder; name its shards, e.g. {folder}/train-{{000000..000009}}.tar")
    shards = sorted(path for path in folder.glob(f"{split}-*.tar*") if not path.name.endswith(INDEX_SUFFIX))
    if not shards:
        raise DataError(f"{folder}: no {split}-*.tar in this folder; `gfnet pack` writes them")
    return shards


def _read_classes(shards: tuple[Path, ...]) -> tuple[str, ...] | None:
    """Class names from beside the shards; shards from several folders must agree."""
    found: dict[Path, tuple[str, ...] | None] = {}
    for folder in dict.fromkeys(shard.parent for shard in shards):
        path = folder / CLASSES_FILE
        try:
            names = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            found[path] = None
            continue
        except ValueError as error:
            raise DataError(f"{path}: no JSON ({error}); write a list of class names, or remove it") from None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise DataError(f"{path}: no list of class names; write one, in the order of the labels, or remove it")
        found[path] = tuple(names)
    (first, classes), *others = found.items()
    for path, names in others:
        if names != classes:
            raise DataError(f"{path}: differs from {first}; give shards of the same classes")
    return classes


def _index_path(shard: Path) -> Path:
    return shard.with_name(shard.name + INDEX_SUFFIX)


def _stamp(shard: Path) -> tuple[int, int]:
    found = shard.stat()
    return found.st_size, found.st_mtime_ns
