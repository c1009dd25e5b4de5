"""Files that carry a digest of themselves: the SHA-256 of all their bytes, the digest's own digits read as zeros."""

from __future__ import annotations

import hashlib
import re
from typing import Any, BinaryIO

UNKNOWN = "0" * 64
"""Stands where a digest will be, while it is not known yet."""

_PIECE_BYTES = 2**20


def is_digest(value: Any) -> bool:
    """Whether ``value`` has a digest's form, 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def own_digest(text: bytes, told: str, rest: BinaryIO | None = None) -> str:
    """The digest of a file, to be compared with the one that it tells.

    Args:
        text: the file's beginning, or all of it; ``told`` counts as zeros wherever it stands in it.
        told: what the file says that its digest is; see :func:`is_digest`.
        rest: what follows; read to its end, little by little.
    """
    digest = hashlib.sha256(text.replace(told.encode(), UNKNOWN.encode()))
    while rest is not None and (piece := rest.read(_PIECE_BYTES)):
        digest.update(piece)
    return digest.hexdigest()


def with_own_digest(text: bytes) -> bytes:
    """A whole file with its digest in place of the first :data:`UNKNOWN` in it."""
    return text.replace(UNKNOWN.encode(), own_digest(text, UNKNOWN).encode(), 1)
