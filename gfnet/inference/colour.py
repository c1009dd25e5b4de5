"""Colours as the profile embedded in a picture file means them.  Needs numpy and pillow only."""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_SAME = 2  # levels: profiles that all mean sRGB differ by as much, being rounded differently

_D65 = (0.3127, 0.3290)
_PRIMARIES = {  # chromaticities xy of red, green and blue, by their code in ITU-T H.273
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),  # sRGB and BT.709
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
_HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics, by their code in ITU-T H.273


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture's colours in sRGB.

    The conversion is relative colorimetric with black point compensation, as browsers and photo editors do it; what
    sRGB cannot show is clipped.  Pixels stay as they are without a profile, with one that means sRGB (to two levels),
    one of another kind of colours than the picture's, and one that is damaged.

    Args:
        picture: of mode L, RGB or CMYK.
        profile: the ICC profile of its pixels.

    Returns:
        The picture in mode RGB.
    """
    transform = _transform(profile, picture.mode) if profile else None
    if transform is None:
        return picture.convert("RGB")
    return transform.apply(picture)


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What takes pixels of ``mode`` to sRGB, or None if they shall stay as they are."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT, _FLAGS)
        return transform if _changes(transform, mode) else None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether colours from all over the space become others."""
    if mode == "CMYK":
        return True
    levels = np.linspace(0, 255, 18).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    probe = Image.fromarray(colours if mode == "RGB" else levels[None])
    there = np.asarray(transform.apply(probe)).astype(int)
    return bool(np.abs(there - np.asarray(probe.convert("RGB"))).max() > _SAME)


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The ICC profile of colours described by code points (ITU-T H.273), as HEIF files do that hold no profile.

    Args:
        primaries: their code; those of sRGB, BT.2020 and Display P3 are known.
        transfer: likewise; every one but those of HDR is taken as sRGB's curve, which screens show them with.

    Returns:
        None where the primaries are not known.

    Raises:
        ValueError: an HDR curve, which 8 bits of sRGB cannot follow.
    """
    if transfer in _HDR:
        raise ValueError(f"its pixels are HDR ({_HDR[transfer]}); convert it to a picture of standard range")
    return rgb_profile(*_PRIMARIES[primaries]) if primaries in _PRIMARIES else None


def rgb_profile(red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float]) -> bytes:
    """An ICC profile (version 4) of an RGB space with sRGB's curve and white point.

    Args:
        red: chromaticity xy of the primary.
        green: likewise.
        blue: likewise.
    """
    primaries = np.stack([_xyz(xy) for xy in (red, green, blue)], axis=1)
    scaled = primaries * np.linalg.solve(primaries, _xyz(_D65))  # columns sum to the white
    columns = (_adaptation() @ scaled).T
    curve = b"para" + struct.pack(">IHH5i", 0, 3, 0, *map(_fixed, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
    tags = {
        b"wtpt": _tag(_D50),
        b"rXYZ": _tag(columns[0]),
        b"gXYZ": _tag(columns[1]),
        b"bXYZ": _tag(columns[2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    kinds = (b"mntr", b"RGB ", b"XYZ ")
    size = start + len(data)
    head = struct.pack(">I4xI4s4s4s12x4s28x3i48x", size, 0x04000000, *kinds, b"acsp", *map(_fixed, _D50))
    return head + table + data


_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of every ICC profile's connection space
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _adaptation() -> np.ndarray:
    """Takes colours seen under D65 to how they look under D50."""
    return np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ _D50 / (_BRADFORD @ _xyz(_D65))) @ _BRADFORD)


def _xyz(xy: tuple[float, float]) -> np.ndarray:
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(value: float) -> int:
    return round(float(value) * 65536)


def _tag(xyz: np.ndarray) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *map(_fixed, xyz))
