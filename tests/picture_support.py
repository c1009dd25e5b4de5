"""Picture files of every odd kind, written byte by byte where no library writes them."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from gfnet.inference.colour import rgb_profile

DISPLAY_P3 = rgb_profile((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n0 0 moveto 100 100 lineto stroke showpage\n%%EOF\n"

D50 = (0.9642, 1.0, 0.8249)
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""Its published colorants: XYZ of red, green and blue under D50."""


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file's bytes."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    """A PNG file of any bit depth and colour type, with chunks before its pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of entries as they are given: tag, type, count, and four bytes of value or offset."""
    packed = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(4)


def icc_profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """An ICC profile (version 2) of the given tags."""
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    white = [round(65536 * value) for value in D50]
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x", start + len(data), 0x02100000, kind, space, connection, b"acsp", *white
    )
    return head + table + data


def xyz(values: tuple[float, float, float]) -> bytes:
    """A tag of one colour."""
    return b"XYZ " + struct.pack(">4x3i", *(round(65536 * value) for value in values))


def gamma(exponent: float) -> bytes:
    """A tag of a tone curve that is a power."""
    return b"curv" + struct.pack(">4xIH", 1, round(256 * exponent))


def adobe_rgb() -> bytes:
    """The Adobe RGB space."""
    colorants = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz, ADOBE_RGB), strict=True))
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(563 / 256))
    return icc_profile(b"RGB ", {b"wtpt": xyz(D50), **colorants, **curves})


def grey_profile(exponent: float) -> bytes:
    """A grey space whose tone curve is a power."""
    return icc_profile(b"GRAY", {b"wtpt": xyz(D50), b"kTRC": gamma(exponent)})


def cmyk_profile() -> bytes:
    """A printer whose inks give greys only, from paper white (no ink) to black (every ink)."""
    ramp = bytes(range(256))
    corners = itertools.product((0, 1), repeat=4)
    greys = b"".join(bytes((255 - 255 * sum(inks) // 4, 128, 128)) for inks in corners)
    identity = struct.pack(">9i", *(65536 * value for value in np.eye(3, dtype=int).ravel().tolist()))
    table = b"mft1" + struct.pack(">4xBBBx", 4, 3, 2) + identity + ramp * 4 + greys + ramp * 3
    return icc_profile(b"CMYK", {b"wtpt": xyz(D50), b"A2B0": table}, connection=b"Lab ", kind=b"prtr")
