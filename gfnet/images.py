"""Images of any kind as the network's pixels.  Needs numpy and pillow only."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gfnet.config import Interpolation, ModelConfig
from gfnet.errors import DataError, ImageError, one_line
from gfnet.listing import list_files
from gfnet.notices import notice, some_of

T = TypeVar("T")

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as an image when a folder is searched."""

MAX_PIXELS = 250_000_000
"""Larger images are refused before they are decoded; 10,000 x 10,000 still fits."""

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_MAX_ASPECT_RESIZED = 8  # longest side of the intermediate resize, in multiples of the shorter one


def load_image(source: Any, name: str | None = None) -> Image.Image:
    """Any image as an upright 8-bit RGB picture.

    EXIF orientation is applied; transparency is laid over white; 16-bit images are scaled to 8 bit; grey
    and CMYK become RGB.

    Args:
        source: a path, the bytes of an image file, a PIL image, or an array or tensor: uint8 [H,W], [H,W,3]
            or [3,H,W], or float of those shapes with values in [0, 1].
        name: what to call it in an error; a path is called by itself.

    Raises:
        ImageError: it cannot be read; the message names it and says why.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return _load_file(path, str(path))
    name = name or "image"
    if isinstance(source, bytes):
        return _load_file(io.BytesIO(source), name)
    try:
        picture = source if isinstance(source, Image.Image) else _from_array(source)
        return _to_rgb(ImageOps.exif_transpose(picture))
    except (ValueError, TypeError, OSError) as error:
        raise ImageError(f"{name}: cannot be read as an image ({error})") from error


def _load_file(file: Path | io.BytesIO, name: str) -> Image.Image:
    try:
        if (file.stat().st_size if isinstance(file, Path) else len(file.getbuffer())) == 0:
            raise ImageError(f"{name}: the file is empty; replace or remove it")
        with Image.open(file) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise ImageError(f"{name}: {width} x {height} pixels are too many; shrink it below {MAX_PIXELS:,}")
            picture.load()
            return _to_rgb(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not an image that can be read; replace or remove it") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too many pixels ({error})") from error
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # on damaged files Pillow's decoders raise whatever they stumble over
        raise ImageError(f"{name}: damaged ({error}); replace or remove it") from error


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I"):  # 16 bits a pixel, in any of pillow's spellings
        deep = np.asarray(picture).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError("grey values outside 16 bits")
        return Image.fromarray((deep >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no defined range; convert them to 8 bit")
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def _from_array(array: Any) -> Image.Image:
    if hasattr(array, "detach"):  # a torch tensor, known without importing torch
        array = array.detach().cpu().numpy()
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or array.ndim not in (2, 3):
        raise ValueError(f"shape {array.shape} is none of [H,W], [H,W,3] and [3,H,W]")
    if np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise ValueError("floating-point values must lie in [0, 1]")
        array = np.rint(array * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))


@dataclass(frozen=True)
class Preprocessing:
    """From a picture of any size to the full-resolution square that a network looks at.

    Equal to torchvision's ``Resize(resize_size)`` and ``CenterCrop(image_size)`` on a PIL image.

    Attributes:
        image_size: side of the square, pixels.
        resize_size: length of the shorter side before the crop, pixels.
        interpolation: of the resize (antialiased).
    """

    image_size: int
    resize_size: int
    interpolation: Interpolation

    @classmethod
    def of(cls, config: ModelConfig) -> Preprocessing:
        """What ``config``'s network was trained with."""
        return cls(config.image_size, config.resize_size, config.interpolation)

    def __call__(self, picture: Image.Image) -> np.ndarray:
        """An RGB picture to pixels uint8 [S,S,3]."""
        width, height = picture.size
        short, long = min(width, height), max(width, height)
        scale = self.resize_size / short
        resized_long = int(self.resize_size * long / short)
        resized = (self.resize_size, resized_long) if width <= height else (resized_long, self.resize_size)
        left = round((resized[0] - self.image_size) / 2)
        top = round((resized[1] - self.image_size) / 2)
        square = (left, top, left + self.image_size, top + self.image_size)
        if resized_long > _MAX_ASPECT_RESIZED * self.resize_size:
            # A 1 x 10,000 image would become 256 x 2,560,000 first: sample only what the crop keeps.
            start = (max(left / scale, 0.0), max(top / scale, 0.0))
            box = (*start, min(square[2] / scale, width), min(square[3] / scale, height))
            cropped = picture.resize((self.image_size, self.image_size), _FILTERS[self.interpolation], box=box)
        else:
            if resized != picture.size:
                picture = picture.resize(resized, _FILTERS[self.interpolation])
            cropped = picture.crop(square)
        return np.asarray(cropped)


def find_images(sources: Iterable[str | Path]) -> list[Path]:
    """The image files that ``sources`` name: files as they are, folders searched for known suffixes.

    Folders are walked as :func:`gfnet.listing.list_files` says; what is passed over in them is told.

    Raises:
        DataError: a source does not exist, a folder cannot be read, or holds no image.
    """
    return [path for source in map(Path, sources) for path in _images_of(source)]


def every_nth(files: Sequence[T], count: int) -> list[T]:
    """``count`` of ``files``, spread evenly over them, or all if there are fewer.

    Raises:
        DataError: ``count`` is below 1.
    """
    if count < 1:
        raise DataError(f"{count} images are too few; use 1 or more")
    if count >= len(files):
        return list(files)
    return [files[i] for i in np.linspace(0, len(files) - 1, count).astype(int)]


def tell_passed_over(folder: str | Path, names: Sequence[str]) -> None:
    """Say which files of a folder are not looked at, because they are not called like pictures."""
    if names:
        what = "1 file that is not a picture" if len(names) == 1 else f"{len(names):,} files that are not pictures"
        notice(f"{one_line(folder)}: passed over {what}: {some_of(names)}")


def _images_of(source: Path) -> list[Path]:
    if not source.is_dir():
        if not source.exists():
            raise DataError(f"{source}: no such file or folder")
        return [source]
    listing = list_files(source, SUFFIXES)
    tell_passed_over(source, listing.passed_over)
    if not listing.files:
        raise DataError(f"{source}: no images in this folder; looked for {', '.join(sorted(SUFFIXES))}")
    return sorted(Path(found.path) for found in listing.files)
