"""Images of any kind as the network's pixels.  Needs numpy and pillow only; HEIC needs pillow-heif besides.

- **Formats**: those of :data:`gfnet.files.formats.IMAGE_FORMATS` and no others, whatever the file is called; no other
  program is ever run.  Of files that hold several pictures the first counts: an animation's first frame, a TIFF's
  first page; of HEIC the primary one.
- **Colour**: the embedded ICC profile's colours are converted to sRGB (:mod:`gfnet.inference.colour`), of RGB, grey and
  CMYK pictures alike; so are Display P3 and BT.2020 where HEIC states them without a profile, and CIELAB.  Pixels with
  an sRGB profile, with a damaged one or with none are taken as sRGB as they are.  Other hints at colour are not
  followed: ``gAMA``, ``cHRM`` and ``cICP`` of PNG, code points of AVIF, EXIF's colour space; nor are profiles of BMP,
  GIF and JPEG 2000, which Pillow does not read.
- **Orientation**: EXIF's (or XMP's) is applied; a damaged entry, or a value outside 1 ... 8, is as none.
- **Transparency** is laid over white.
- **Depth**: 16 bits a channel become 8 by their upper half; TIFF's pixels of 32 bits, and floating-point ones, have no
  defined range and are refused.
- **Limits**: :data:`MAX_PIXELS` and :data:`MAX_ASPECT`, checked before anything is decoded.
- **Damage**: a file that is cut short, or whose pixels cannot be decoded, is refused; damaged text or EXIF is ignored.
"""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from gfnet.config import Interpolation, ModelConfig
from gfnet.console.notices import notice, some_of
from gfnet.errors import DataError, ImageError
from gfnet.escaping import one_line
from gfnet.files.formats import IMAGE_FORMATS, IMAGE_SUFFIXES
from gfnet.files.listing import list_files
from gfnet.inference.colour import coded_profile, to_srgb

T = TypeVar("T")

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or Python prints Pillow's remarks on odd files by itself

MAX_PIXELS = 178_956_970
"""Larger images are refused, here as by Pillow unless a program changes its limit."""

MAX_ASPECT = 64
"""The longer side is at most so many times the shorter: all of it is resized before the square is cut out."""

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_OWN_FORMATS = tuple(name for name in IMAGE_FORMATS if name != "HEIF")  # Pillow's own
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST_PROFILE = 16 * 1024 * 1024  # bytes; no JPEG can hold a larger one
_PILLOWS_WARNINGS = ("ignore", None, Warning, re.compile(r"(PIL|pillow_heif)\."), 0)


def load_image(source: Any, name: str | None = None) -> Image.Image:
    """Any image as an upright 8-bit RGB picture in sRGB, as the module's description says.

    Args:
        source: a path, the bytes of an image file, a PIL image, or an array or tensor: uint8 [H,W], [H,W,3]
            or [3,H,W], or float of those shapes with values in [0, 1].
        name: what to call it in an error; a path is called by itself.

    Raises:
        ImageError: it cannot be read; the message names it and says why.
    """
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        with _opened(Path(source), name) as file:
            return _load_file(file, name)
    name = name or "image"
    if isinstance(source, bytes):
        return _load_file(io.BytesIO(source), name)
    try:
        with _silent_pillow():
            picture = source if isinstance(source, Image.Image) else _from_array(source)
            check_size(*picture.size, name)
            return _upright_srgb(picture, picture.info.get("icc_profile"), name)
    except ImageError:
        raise
    except Exception as error:  # a picture may be read from its file only now
        raise ImageError(f"{name}: cannot be read as an image ({one_line(error)})") from error


def check_size(width: int, height: int, name: str) -> None:
    """Refuse a picture that is empty, or larger or longer than the limits.

    Raises:
        ImageError: it is; the message calls it ``name``.
    """
    size = f"{name}: {width} x {height} pixels"
    if width < 1 or height < 1:
        raise ImageError(f"{size} are too few to show anything; replace or remove it")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{size} are more than {MAX_PIXELS:,}; shrink it")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(f"{size} are more than {MAX_ASPECT} times as long as wide; crop it")


def _opened(path: Path, name: str) -> BinaryIO:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError(f"{name}: not a file; name an image")
        return path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # the latter for a name that no file can have
        raise ImageError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _load_file(file: BinaryIO, name: str) -> Image.Image:
    start = file.read(12)
    if not start:
        raise ImageError(f"{name}: the file is empty; replace or remove it")
    try:
        with _silent_pillow():
            try:
                return _decoded(_identified(file, start, name), name)
            except ValueError:  # which is what Pillow raises at more text, or a larger profile, than it cares to read
                if not start.startswith(_PNG):
                    raise
                bare, profile = _bare_png(file)
                return _decoded(_identified(bare, start, name), name, profile)
    except UnidentifiedImageError:
        reason = f"not an image that can be read ({', '.join(IMAGE_FORMATS)}), or damaged"
        raise ImageError(f"{name}: {reason}; convert or remove it") from None
    except Image.DecompressionBombError:
        limit = min(MAX_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MAX_PIXELS))
        raise ImageError(f"{name}: more than {limit:,} pixels; shrink it") from None
    except MemoryError:
        raise ImageError(f"{name}: no memory to decode it; shrink it") from None
    except ImageError:
        raise
    except Exception as error:  # on damaged files Pillow's decoders raise whatever they stumble over
        raise ImageError(f"{name}: damaged ({one_line(str(error).strip())}); replace or remove it") from error


def _identified(file: BinaryIO, start: bytes, name: str) -> Image.Image:
    """The picture in a file, not yet decoded."""
    try:
        return Image.open(file, formats=_OWN_FORMATS)
    except UnidentifiedImageError:
        if start[4:8] != b"ftyp" or start[8:12] not in _HEIF_BRANDS:
            raise
    try:
        from pillow_heif import HeifImageFile  # only now: most people have no such file
    except ImportError:
        message = f"{name}: HEIC is read with pillow-heif, which is missing; run `pip install gfnet[heic]`"
        raise ImageError(message) from None
    file.seek(0)
    picture: Image.Image = HeifImageFile(file)
    return picture


def _decoded(picture: Image.Image, name: str, profile: bytes | None = None) -> Image.Image:
    with picture:
        check_size(*picture.size, name)
        picture.load()
        profile = profile or picture.info.get("icc_profile")
        code = picture.info.get("nclx_profile")
        if code and not profile:
            try:
                profile = coded_profile(code["color_primaries"], code["transfer_characteristics"])
            except ValueError as error:
                raise ImageError(f"{name}: {error}") from None
        return _upright_srgb(picture, profile, name)


@contextmanager
def _silent_pillow() -> Iterator[None]:
    """Keep Pillow's warnings (of damaged EXIF, of large pictures) from being shown or raised.

    Unlike ``warnings.catch_warnings`` it may be used in several threads at once: it adds one filter and takes away one.
    """
    filters = cast("list[object]", warnings.filters)
    filters.insert(0, _PILLOWS_WARNINGS)
    try:
        yield
    finally:
        with suppress(ValueError):  # someone else has replaced the list meanwhile
            filters.remove(_PILLOWS_WARNINGS)


def _bare_png(file: BinaryIO) -> tuple[io.BytesIO, bytes | None]:
    """A PNG file without all that neither shows nor turns the picture, and its colour profile."""
    file.seek(len(_PNG))
    bare, profile = io.BytesIO(), None
    bare.write(_PNG)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        body = file.read(length + 4)  # and its checksum
        if kind[:1].isupper() or kind in (b"tRNS", b"eXIf"):
            bare.write(head + body)
        elif kind == b"iCCP":
            with suppress(zlib.error):
                compressed = body[:-4].partition(b"\0")[2][1:]
                profile = zlib.decompressobj().decompress(compressed, _LARGEST_PROFILE)
        if kind == b"IEND":
            break
    bare.seek(0)
    return bare, profile


def _upright_srgb(picture: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    orientation = None
    with suppress(Exception):  # as for damaged files
        orientation = _TURNS.get(picture.getexif()[ExifTags.Base.Orientation])
    if orientation is not None:
        picture = picture.transpose(orientation)
    upright = _to_rgb(picture, profile, name)
    upright.info = {}  # no profile or orientation that would be applied once more
    return upright


def _to_rgb(picture: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    if picture.mode == "F":
        raise ImageError(f"{name}: floating-point pixels have no defined range; convert it to 8 bit")
    if picture.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(*profiles, "LAB", "RGB").apply(picture)
    if picture.mode == "I" and picture.format == "TIFF":
        raise ImageError(f"{name}: pixels of 32 bits have no defined range; convert it to 8 bit")
    if picture.mode == "La":  # which Pillow turns into nothing else
        picture = picture.convert("LA")
    opacity = None
    if picture.mode.startswith("I"):  # 16 bits a pixel, in any of pillow's spellings
        picture, opacity = _upper_byte(picture, name)
    elif "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa"):
        clear = picture.convert("RGBA")
        opacity = clear.getchannel("A")
        picture = clear.getchannel("R") if picture.mode in ("1", "L", "LA") else clear.convert("RGB")
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    colours = to_srgb(picture, profile)
    if opacity is None:
        return colours
    colours.putalpha(opacity)
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours).convert("RGB")


def _upper_byte(picture: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """A picture of 16 bits a pixel in mode L, and its opacity if one grey is transparent."""
    deep = np.asarray(picture)
    if deep.min() < 0 or deep.max() > 65535:
        raise ImageError(f"{name}: grey values outside 16 bits; convert it to 8 bit")
    clear = picture.info.get("transparency")
    opacity = None if clear is None else Image.fromarray(np.where(deep == clear, 0, 255).astype(np.uint8))
    return Image.fromarray((deep >> 8).astype(np.uint8)), opacity


def _from_array(array: Any) -> Image.Image:
    if hasattr(array, "detach"):  # a torch tensor, known without importing torch
        array = array.detach().cpu().numpy()
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or array.ndim not in (2, 3):
        raise ValueError(f"shape {array.shape} is not [H,W], [H,W,3] or [3,H,W]")
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
        """An RGB picture to pixels uint8 [S,S,3].

        Raises:
            ImageError: it is larger or longer than the limits.
        """
        width, height = picture.size
        check_size(width, height, "picture")
        resized_long = int(self.resize_size * max(width, height) / min(width, height))
        resized = (self.resize_size, resized_long) if width <= height else (resized_long, self.resize_size)
        left = round((resized[0] - self.image_size) / 2)
        top = round((resized[1] - self.image_size) / 2)
        if resized != picture.size:
            picture = picture.resize(resized, _FILTERS[self.interpolation])
        return np.asarray(picture.crop((left, top, left + self.image_size, top + self.image_size)))


def find_images(sources: Iterable[str | Path]) -> list[Path]:
    """The image files that ``sources`` name: files as they are, folders searched for known suffixes.

    Folders are walked as :func:`gfnet.files.listing.list_files` says; what is passed over in them is told.

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
    """Say which files of a folder are not looked at, because their names are not those of pictures."""
    if names:
        what = "1 file that is not a picture" if len(names) == 1 else f"{len(names):,} files that are not pictures"
        notice(f"{one_line(folder)}: passed over {what}: {some_of(names)}")


def _images_of(source: Path) -> list[Path]:
    if not source.is_dir():
        if not source.exists():
            raise DataError(f"{source}: no such file or folder")
        return [source]
    listing = list_files(source, IMAGE_SUFFIXES)
    tell_passed_over(source, listing.passed_over)
    if not listing.files:
        raise DataError(f"{source}: no images in this folder; looked for {', '.join(sorted(IMAGE_SUFFIXES))}")
    return sorted(Path(found.path) for found in listing.files)
