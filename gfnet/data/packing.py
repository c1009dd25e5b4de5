"""Image folders as tar shards, which :mod:`gfnet.data.shards` and WebDataset read.

The files go in byte for byte.  The order is shuffled over all shards, so that every shard mixes classes, and the
same folder, options and seed give the same bytes.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import BinaryIO

import numpy as np

from gfnet.console.progress import Progress
from gfnet.data.shards import CLASSES_FILE, index_shard, save_index
from gfnet.data.splits import FolderSplit, open_split, open_splits
from gfnet.errors import ConfigError, DataError, ImageError
from gfnet.files.listing import check_folder
from gfnet.files.replacing import atomic_folder
from gfnet.files.writing import write_json
from gfnet.inference.images import load_image

SPLITS = ("train", "val")
DEFAULT_SHARD_MB = 256.0

_BLOCK = tarfile.BLOCKSIZE
_READ_AHEAD = 64  # files in memory


@dataclass(frozen=True)
class PackedSplit:
    """What became of one split.

    Attributes:
        name: ``train`` or ``val``.
        images: how many were packed.
        shards: number of tar files.
        bytes: their total size.
        unreadable: error messages of the images that were left out.
    """

    name: str
    images: int
    shards: int
    bytes: int
    unreadable: tuple[str, ...]


def pack_folder(
    root: str | Path,
    out: str | Path,
    *,
    shard_mb: float | None = None,
    shard_images: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    strict: bool = False,
) -> tuple[tuple[str, ...], tuple[PackedSplit, ...]]:
    """Pack ``root/{train,val}/<class>/`` into ``out/{train,val}-000000.tar`` and so on, with ``out/classes.json``.

    Every image is decoded once to see that it can be; those that cannot are left out.  The folder appears whole
    or not at all.

    Args:
        root: a folder with ``train``, ``val`` or both.
        shard_mb: begin a new shard before it grows beyond this many megabytes; 256 by default.
        shard_images: begin a new shard after this many images instead.
        seed: of the order, any non-negative integer.
        overwrite: replace ``out`` if it is an earlier result of this; see :func:`gfnet.files.replacing.check_folder`.
        strict: raise at the first image that cannot be read.

    Returns:
        Class names and, for each split there is, what was packed.

    Raises:
        ConfigError: both limits or one out of range, or a negative seed.
        DataError: ``root`` is missing, has neither split, or one without classes, images or readable images.
        ImageError: an image cannot be read, with ``strict``.
        GFNetError: ``out`` exists, holds what is packed or lies in it, or cannot be written.
    """
    root, out = Path(root), Path(out)
    limit = _Limit.of(shard_mb, shard_images)
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; use 0 or more")
    with atomic_folder(out, "shards", overwrite=overwrite, inputs=[root / name for name in SPLITS]) as folder:
        splits = _open(root)
        classes = next(iter(splits.values())).classes
        total = sum(len(split.samples) for split in splits.values())
        with Progress("pack", total, "images") as progress:
            packed = tuple(
                _pack_split(folder, name, split, limit, (seed, SPLITS.index(name)), strict, progress)
                for name, split in splits.items()
            )
        write_json(folder / CLASSES_FILE, list(classes))
    return classes, packed


def sample_keys(split: FolderSplit) -> list[str]:
    """A key for every sample of a split: ``<class>/<stem>``, unique and safe.

    A key ends at the first dot of the file's name, so dots in stems become ``_``, as do characters that do not
    print.  Files of one key (``a.jpg`` and ``a.png``) get ``-2``, ``-3``.
    """
    taken: set[str] = set()
    keys = []
    for path, _ in split.samples:
        *folders, name = (_printable(part) for part in PurePath(path).relative_to(split.root).parts)
        stem = name.rpartition(".")[0].replace(".", "_") or "_"
        if len(folders[0]) > 3 and folders[0].startswith("__") and folders[0].endswith("__"):
            folders[0] = folders[0].strip("_") or "_"  # WebDataset skips names of this kind: __background__
        base = key = "/".join((*folders, stem))
        number = 1
        while key in taken:
            number += 1
            key = f"{base}-{number}"
        taken.add(key)
        keys.append(key)
    return keys


@dataclass(frozen=True)
class _Limit:
    """When a shard is full."""

    bytes: float
    images: float

    @classmethod
    def of(cls, megabytes: float | None, images: int | None) -> _Limit:
        if megabytes is not None and images is not None:
            raise ConfigError("shards are limited by size or by images, not both; give one")
        if images is not None:
            if images < 1:
                raise ConfigError(f"{images} images a shard are too few; use 1 or more")
            return cls(float("inf"), images)
        megabytes = DEFAULT_SHARD_MB if megabytes is None else megabytes
        if not megabytes > 0:
            raise ConfigError(f"shards of {megabytes} MB hold nothing; use a size above 0")
        return cls(megabytes * 1e6, float("inf"))


@dataclass
class _Writer:
    """Samples into numbered tars ``<folder>/<name>-000000.tar``, a new one where the next sample does not fit."""

    folder: Path
    name: str
    limit: _Limit
    images: int = 0
    written: list[Path] = field(default_factory=list)
    stream: BinaryIO | None = None
    tar: tarfile.TarFile | None = None
    held: int = 0  # samples in the open shard

    def add(self, key: str, extension: str, data: bytes, label: int) -> None:
        needed = 3 * _BLOCK + -(-len(data) // _BLOCK) * _BLOCK  # two headers, the label, the image
        if self.stream is not None and (
            self.held + 1 > self.limit.images or self.stream.tell() + needed > self.limit.bytes
        ):
            self.finish()
        if self.stream is None:
            path = self.folder / f"{self.name}-{len(self.written):06d}.tar"
            self.stream = open(path, "wb")  # noqa: SIM115 - closed by finish or abandon
            self.tar = tarfile.open(fileobj=self.stream, mode="w")  # noqa: SIM115
            self.written.append(path)
        assert self.tar is not None
        for suffix, content in ((extension, data), ("cls", str(label).encode())):
            member = tarfile.TarInfo(f"{key}.{suffix}")  # no time, no owner: the same input gives the same bytes
            member.size = len(content)
            self.tar.addfile(member, io.BytesIO(content))
        self.tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
        self.held += 1
        self.images += 1

    def finish(self) -> None:
        """End the open shard and index it, which reads it back."""
        if self.stream is None or self.tar is None:
            return
        self.tar.close()
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.abandon()
        save_index(self.written[-1], index_shard(self.written[-1]))

    def abandon(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self.stream, self.tar, self.held = None, None, 0


def _pack_split(
    folder: Path,
    name: str,
    split: FolderSplit,
    limit: _Limit,
    seed: tuple[int, int],
    strict: bool,
    progress: Progress,
) -> PackedSplit:
    keys = sample_keys(split)
    order = np.random.default_rng(seed).permutation(len(keys)).tolist()
    writer = _Writer(folder, name, limit)
    unreadable = []
    try:
        for sample, data in zip(order, _read_all([split.samples[sample][0] for sample in order]), strict=True):
            path, label = split.samples[sample]
            if isinstance(data, bytes):
                writer.add(keys[sample], path.rpartition(".")[2].lower(), data, label)
            elif strict:
                raise data
            else:
                unreadable.append(str(data))
            progress.advance()
        writer.finish()
    finally:
        writer.abandon()
    if not writer.images:
        raise DataError(f"{split.root}: none of its {len(keys)} images can be read, e.g. {unreadable[0]}")
    size = sum(path.stat().st_size for path in writer.written)
    return PackedSplit(name, writer.images, len(writer.written), size, tuple(unreadable))


def _read_all(paths: list[str]) -> Iterator[bytes | ImageError]:
    """Every file in turn, or what is wrong with it; decoded to know, on all cores, as that takes longest."""
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(paths), _READ_AHEAD):
            yield from pool.map(_read, paths[first : first + _READ_AHEAD])


def _read(path: str) -> bytes | ImageError:
    try:
        load_image(path)
        return Path(path).read_bytes()
    except ImageError as error:
        return error
    except OSError as error:
        return ImageError(f"{path}: cannot be read ({error.strerror})")


def _open(root: Path) -> dict[str, FolderSplit]:
    check_folder(root, "train/ or val/ in it")
    there = [name for name in SPLITS if (root / name).is_dir()]
    if not there:
        raise DataError(f"{root}: holds neither train/ nor val/; expected a folder of classes in at least one")
    if len(there) == 1:
        return {there[0]: open_split(root / there[0])}
    return dict(zip(SPLITS, open_splits(root), strict=True))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "_" for letter in text)
