"""Image folders written from images that lie elsewhere: copied, linked or shrunk."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

from PIL import Image

from gfnet.console.progress import Progress
from gfnet.data.splits import FolderSplit
from gfnet.errors import ConfigError, DataError, ImageError
from gfnet.files.replacing import atomic_folder
from gfnet.inference.images import load_image

JPEG_QUALITY = 92

_AT_ONCE = 64  # images on their way, so that an error stops the work soon


@dataclass(frozen=True)
class WrittenSplit:
    """What became of one split.

    Attributes:
        name: its folder.
        images: how many were written.
        classes: number of classes among them.
        unreadable: error messages of the images that were left out.
    """

    name: str
    images: int
    classes: int
    unreadable: tuple[str, ...]


def write_image_folder(
    out: str | Path,
    splits: Mapping[str, FolderSplit],
    *,
    sources: Iterable[Path],
    kind: str = "image folder",
    size: int | None = None,
    link: bool = False,
    overwrite: bool = False,
    strict: bool = False,
) -> tuple[WrittenSplit, ...]:
    """Write ``out/<split>/<class>/<file>`` for the samples of every split; the folder appears whole or not at all.

    Files keep their names; where two of a class share one, in upper or lower case, the second becomes ``-2``.

    Args:
        splits: what to write, by the name of its folder; every class has samples.
        sources: folders that the images were found in; neither replaced nor written into.
        kind: what to call the folder; see :func:`gfnet.files.replacing.atomic_folder`.
        size: rewrite images as JPEG, the shorter side at most this many pixels; byte for byte without it.
        link: make hard links in place of copies where the file system allows.
        overwrite: replace ``out`` if it is of this kind; see :func:`gfnet.files.replacing.check_folder`.
        strict: raise at the first image that cannot be read.

    Raises:
        ConfigError: ``size`` is below 1.
        DataError: no image of a class can be read.
        ImageError: an image cannot be read, with ``strict``.
        GFNetError: ``out`` exists, cannot be written, or would replace images that it is made of.
    """
    out = Path(out)
    if size is not None and size < 1:
        raise ConfigError(f"--size {size} leaves no pixels; use 1 or more")
    with atomic_folder(out, kind, overwrite=overwrite, inputs=sources) as folder:
        total = sum(map(len, splits.values()))
        with Progress("prepare", total, "images") as progress, ThreadPoolExecutor() as pool:
            return tuple(
                _write_split(folder / name, split, size, link, strict, pool, progress) for name, split in splits.items()
            )


def shrink(path: str | Path, size: int) -> bytes:
    """An image as a JPEG file of an upright RGB picture, its shorter side at most ``size`` pixels.

    Raises:
        ImageError: it cannot be read, or is too long to be a JPEG.
    """
    picture = load_image(path)
    scale = size / min(picture.size)
    if scale < 1:
        width, height = (round(side * scale) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    try:
        picture.save(file, "JPEG", quality=JPEG_QUALITY)
    except (OSError, ValueError) as error:
        width, height = picture.size
        raise ImageError(f"{path}: {width} x {height} pixels cannot be written as JPEG ({error})") from error
    return file.getvalue()


def _write_split(
    folder: Path,
    split: FolderSplit,
    size: int | None,
    link: bool,
    strict: bool,
    pool: ThreadPoolExecutor,
    progress: Progress,
) -> WrittenSplit:
    for name in split.classes:
        (folder / name).mkdir(parents=True)
    targets = _targets(folder, split, None if size is None else ".jpg")
    written: Counter[int] = Counter()
    unreadable: list[tuple[int, str]] = []
    for first in range(0, len(targets), _AT_ONCE):
        samples = split.samples[first : first + _AT_ONCE]
        bring = partial(_bring, size=size, link=link)
        errors = pool.map(bring, [path for path, _ in samples], targets[first : first + _AT_ONCE])
        for (_, label), error in zip(samples, errors, strict=True):
            if error is None:
                written[label] += 1
            elif strict:
                raise error
            else:
                unreadable.append((label, str(error)))
            progress.advance()
    for label, message in unreadable:
        if not written[label]:
            raise DataError(f"{folder.name}/{split.classes[label]}: none of its images can be read, e.g. {message}")
    return WrittenSplit(folder.name, written.total(), len(split.classes), tuple(message for _, message in unreadable))


def _targets(folder: Path, split: FolderSplit, suffix: str | None) -> list[Path]:
    """Where every sample goes: no two to one place, also where a file system takes ``A`` for ``a``."""
    taken: set[tuple[int, str]] = set()
    targets = []
    for path, label in split.samples:
        stem, ending = PurePath(path).stem, suffix or PurePath(path).suffix
        name = stem + ending
        number = 1
        while (label, name.casefold()) in taken:
            number += 1
            name = f"{stem}-{number}{ending}"
        taken.add((label, name.casefold()))
        targets.append(folder / split.classes[label] / name)
    return targets


def _bring(source: str, target: Path, *, size: int | None, link: bool) -> ImageError | None:
    """Write one image, or say why it cannot be read; that it cannot be written is raised."""
    try:
        if size is not None:
            content = shrink(source, size)
        elif link and _linked(source, target):
            return None
        else:
            content = Path(source).read_bytes()
    except ImageError as error:
        return error
    except OSError as error:
        return ImageError(f"{source}: cannot be read ({error.strerror})")
    target.write_bytes(content)
    return None


def _linked(source: str, target: Path) -> bool:
    try:
        target.hardlink_to(Path(source).resolve())  # the image itself, not a symbolic link to it
    except OSError:  # another file system, or one without links
        return False
    return True
