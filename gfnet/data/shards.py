"""Samples in tar shards, WebDataset's layout, read by random access.

Members of a shard that share a name up to its first dot belong together: ``cat/0001.jpg`` is an image and
``cat/0001.cls`` its label, a decimal number.  Names may have dots of their own: ``photo.0001.jpg`` and
``photo.0001.cls`` are a sample too.  What is hidden does not count; a picture without a label of its own, a file that
is not a picture, a link and a name that was there before are passed over, counted and named.

One pass over a shard's headers finds where every image lies; the result is kept beside the shard
(``<shard>.index.npy``), so that a million samples open in a moment and are shuffled, resumed and dealt to ranks like
files in a folder.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import re
import stat
import tarfile
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gfnet.console.notices import notice, some_of
from gfnet.console.progress import Progress
from gfnet.errors import DataError, GFNetError, ImageError
from gfnet.escaping import one_line
from gfnet.files.formats import IMAGE_SUFFIXES
from gfnet.files.reading import open_regular, read_json
from gfnet.files.writing import atomic_file
from gfnet.inference.images import load_image

CLASSES_FILE = "classes.json"
"""Class names, a list in the order of the labels, beside the shards."""

INDEX_SUFFIX = ".index.npy"
"""What an index's name has after its shard's."""

IMAGE_EXTENSIONS = frozenset(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)

_INDEX_VERSION = 2
_COLUMNS = 4  # where the member's header begins, where its image begins, the image's bytes, the label
_NAMED = 3  # members of a shard that are named of those passed over
_LARGEST_CLASSES = 64 * 1024**2  # bytes
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


class ShardIndex(NamedTuple):
    """What one pass over a shard's headers finds.

    Attributes:
        samples: int64 [N,4], a part of :attr:`ShardSet.index`.
        passed_over: how many members are not used.
        named: where the headers of the first of these begin, in bytes.
    """

    samples: np.ndarray
    passed_over: int
    named: tuple[int, ...]


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
    _tell_passed_over(spec, shards, indexes)
    counts = np.array([len(index.samples) for index in indexes])
    samples = np.concatenate([index.samples for index in indexes])
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
    places: dict[Path, Path] = {}  # each once, whatever links to it
    for path in shards:
        places.setdefault(path.resolve(), path)
    return tuple(places.values())


def index_shard(shard: str | Path) -> ShardIndex:
    """Where the images of a shard lie, from one pass over its headers.

    Raises:
        DataError: it is not a tar file, is compressed or cut short, holds no sample, or has a sample without image or
            label, with two of them, or with a label that is not a number from 0 to 999,999,999.
    """
    shard = Path(shard)
    rows = array("q")  # 8 bytes a number where a list of tuples would need 20 times that
    passed_over = _PassedOver()
    try:
        with open_regular(shard) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for sample in _samples(shard, tar, stream.fileno(), passed_over):
                rows.extend(sample)
    except (tarfile.TarError, ValueError, EOFError) as error:
        with open_regular(shard) as stream:
            if stream.read(8).startswith(_COMPRESSED):
                raise DataError(f"{shard}: is compressed; unpack it to a plain .tar first") from None
        raise DataError(f"{shard}: not a complete tar file ({error}); copy or pack it again") from error
    except OSError as error:
        raise DataError(f"{shard}: cannot be read ({error.strerror}); check the file and its permissions") from error
    if not rows:
        raise DataError(f"{shard}: holds no samples; remove it, or pack pairs of an image and a .cls file")
    return ShardIndex(np.array(rows, np.int64).reshape(-1, _COLUMNS), passed_over.count, tuple(passed_over.named))


def save_index(shard: str | Path, index: ShardIndex) -> None:
    """Keep a shard's index beside it, whole or not at all.

    Raises:
        GFNetError: the place is not writable, or taken by something that is not a file.
    """
    shard = Path(shard)
    path = _index_path(shard)
    if path.exists() and not path.is_file():
        raise GFNetError(f"{path}: is in the way of the shard's index")
    named = [*index.named, *[-1] * _NAMED][:_NAMED]
    head = [[_INDEX_VERSION, *_stamp(shard), len(index.samples)], [index.passed_over, *named]]
    with atomic_file(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, np.vstack([head, index.samples]))


def load_index(shard: str | Path) -> ShardIndex | None:
    """The index kept beside a shard, or ``None`` if there is none, it cannot be true, or the shard changed since."""
    shard = Path(shard)
    stamp = _stamp(shard)
    try:
        with open_regular(_index_path(shard)) as stream:
            table = _read_labels(stream)
    except (OSError, ValueError, EOFError, GFNetError):
        return None  # absent, or damaged: it is only a copy of what the shard says
    if table is None or table[0].tolist() != [_INDEX_VERSION, *stamp, len(table) - 2]:
        return None
    (passed_over, *named), samples = table[1].tolist(), table[2:]
    header, begin, size, label = samples.T
    sound = (header >= 0) & (begin > header) & (size >= 0) & (begin <= stamp[0] - size)
    if passed_over < 0 or not sound.all() or label.min() < 0 or label.max() >= 10**_MOST_DIGITS:
        return None
    return ShardIndex(samples, passed_over, tuple(offset for offset in named if 0 <= offset < stamp[0]))


def _read_labels(stream: Any) -> np.ndarray | None:
    """The table int64 [2 + N,4] in an ``.npy`` file, whose head must not claim more than the file holds."""
    if np.lib.format.read_magic(stream) != (1, 0):
        return None
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    size = os.fstat(stream.fileno()).st_size - stream.tell()
    if dtype != np.int64 or by_columns or len(shape) != 2 or shape[1] != _COLUMNS or shape[0] < 3:
        return None
    return np.fromfile(stream, np.int64).reshape(shape) if shape[0] * _COLUMNS * dtype.itemsize == size else None


class _OpenFile:
    """A file descriptor that is closed when nothing refers to it any more."""

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


class _Member(NamedTuple):
    """A file in a shard: its name up to the last dot, what follows, and where it lies."""

    stem: str
    extension: str
    name: str
    header: int
    begin: int
    size: int


@dataclass
class _PassedOver:
    """Members that are not used."""

    count: int = 0
    named: list[int] = field(default_factory=list)

    def add(self, header: int) -> None:
        self.count += 1
        if len(self.named) < _NAMED:
            self.named.append(header)


def _samples(
    shard: Path, tar: tarfile.TarFile, descriptor: int, passed_over: _PassedOver
) -> Iterator[tuple[int, int, int, int]]:
    """Rows of the index."""
    known: set[int] = set()  # hashes of the samples' names, which would take more memory
    for key, members in itertools.groupby(_named_members(tar, descriptor, passed_over), lambda named: named[0]):
        images: dict[str, _Member] = {}
        labels: dict[str, _Member] = {}
        fields: list[_Member] = []
        for _, member in members:
            kind = images if member.extension in IMAGE_EXTENSIONS else labels if member.extension == "cls" else None
            if kind is None:
                fields.append(member)
            elif member.stem in kind:
                two = f"two images, {kind[member.stem].name} and {member.name}" if kind is images else "two cls files"
                raise DataError(f"{shard}: sample {member.stem} has {two}; keep one")
            else:
                kind[member.stem] = member
        if (key in images) != (key in labels):
            lacks = "cls file" if key in images else "image"
            raise DataError(
                f"{shard}: sample {key} has no {lacks}; put an image and its .cls, named alike, one after the other"
            )
        for stem, image in images.items():
            if stem not in labels:
                fields.append(image)
            elif hash(stem) in known:
                passed_over.add(image.header)
            else:
                known.add(hash(stem))
                yield image.header, image.begin, image.size, _read_label(shard, labels[stem], descriptor)
        fields += [label for stem, label in labels.items() if stem not in images]
        for member in fields:  # more about a sample is nothing lost: `0001.json`, `0001.mask.png`
            if key not in images and not (member.stem in images and member.stem in labels):
                passed_over.add(member.header)


def _named_members(tar: tarfile.TarFile, descriptor: int, passed_over: _PassedOver) -> Iterator[tuple[str, _Member]]:
    """Every file that is not hidden, by its name up to the first dot, where WebDataset cuts it."""
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
        folder, slash, name = member.name.rpartition("/")
        hidden = any(part.startswith(".") and part not in (".", "..") for part in member.name.split("/"))
        if hidden or member.isdir() or _META.match(member.name):
            continue
        first, dot, _ = name.partition(".")
        stem, _, extension = name.rpartition(".")
        if not dot or not member.isreg() or member.issparse():
            passed_over.add(member.offset)
            continue
        place = folder + slash
        yield (
            place + first,
            _Member(place + stem, extension.lower(), member.name, member.offset, member.offset_data, member.size),
        )
    # tarfile takes the end of the file, and even a damaged header, for the end of the archive.
    if os.pread(descriptor, _BLOCK, tar.offset) != bytes(_BLOCK):
        raise tarfile.ReadError("cut short or damaged")


def _tell_passed_over(spec: str | Path, shards: tuple[Path, ...], indexes: list[ShardIndex]) -> None:
    count = sum(index.passed_over for index in indexes)
    if not count:
        return
    places = [(shard, offset) for shard, index in zip(shards, indexes, strict=True) for offset in index.named]
    names = [_member_name(shard, offset) or f"member at {offset:,}" for shard, offset in places[:_NAMED]]
    members = "1 member, which is not a picture with a label of its own or repeats a name"
    if count > 1:
        members = f"{count:,} members, which are not pictures with labels of their own or repeat a name"
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    notice(f"{one_line(spec)}: passed over {members}: {some_of(names)}{more}")


def _read_label(shard: Path, member: _Member, descriptor: int) -> int:
    text = os.pread(descriptor, min(member.size, _MOST_LABEL), member.begin)
    if len(text) < min(member.size, _MOST_LABEL):
        raise tarfile.ReadError("cut short")
    return _label(shard, member.stem, text)


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
            names = read_json(path, _LARGEST_CLASSES)
        except FileNotFoundError:
            found[path] = None
            continue
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise DataError(f"{path}: not a list of class names; write one, in the order of the labels, or remove it")
        found[path] = tuple(names)
    (first, classes), *others = found.items()
    for path, names in others:
        if names != classes:
            raise DataError(f"{path}: differs from {first}; give shards of the same classes")
    return classes


def _index_path(shard: Path) -> Path:
    return shard.with_name(shard.name + INDEX_SUFFIX)


def _stamp(shard: Path) -> tuple[int, int]:
    try:
        found = shard.stat()
    except OSError as error:
        raise DataError(f"{shard}: cannot be read ({error.strerror}); check the file and its permissions") from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{shard}: is not a file; give tar shards")
    return found.st_size, found.st_mtime_ns
