"""Files that carry a digest of themselves: the SHA-256 of all their bytes, the digest's own digits read as zeros."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

UNKNOWN = "0" * 64
"""Stands where a digest will be, while it is not known yet."""

Buffer = bytes | memoryview


def own_digest(text: bytes, told: str, rest: Iterable[Buffer] = ()) -> str:
    """The digest of a file, to be compared with the one that it tells.

    Args:
        text: the file's beginning, or all of it; ``told`` counts as zeros wherever it stands in it.
        told: what the file says that its digest is; 64 hexadecimal digits.
        rest: what follows.
    """
    digest = hashlib.sha256(text.replace(told.encode(), UNKNOWN.encode()))
    for piece in rest:
        digest.update(piece)
    return digest.hexdigest()


def with_own_digest(text: bytes, rest: Iterable[Buffer] = ()) -> bytes:
    """A file, or its beginning where ``rest`` follows, with its digest in place of the first :data:`UNKNOWN`."""
    return text.replace(UNKNOWN.encode(), own_digest(text, UNKNOWN, rest).encode(), 1)
