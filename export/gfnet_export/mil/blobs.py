"""``weight.bin``: the constants of an ML program that are too large to stand in it.

Little endian.  64 bytes of file header (number of blobs, format version); then, at the offset that the program names,
64 bytes about one blob (sentinel, element type, bytes, where they begin, unused bits at their end), and elsewhere the
elements.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from gfnet.errors import MilError

_FILE_HEADER, _BLOB_HEADER = struct.Struct("<II"), struct.Struct("<IIQQQ")
_VERSION, _SENTINEL = 2, 0xDEADBEEF

# Element types as numbered in the file.
_DTYPES = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    5: "bfloat16",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}


class BlobFile:
    """A ``weight.bin``, mapped into memory.

    Args:
        path: the file.

    Raises:
        MilError: it cannot be read, or is of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise MilError(f"{path}: cannot be read ({error}); copy the package again") from error
        header = self._bytes[: _FILE_HEADER.size].tobytes()
        if len(header) < _FILE_HEADER.size or _FILE_HEADER.unpack(header)[1] != _VERSION:
            raise MilError(f"{path}: not a weight file of version {_VERSION}; convert the network again")

    def read(self, offset: int, dtype: str, packed_bytes: int) -> np.ndarray:
        """The bytes of a blob, uint8 [n], not copied.

        Args:
            offset: of its header.
            dtype: of its elements, as the program says.
            packed_bytes: how many the program expects.

        Raises:
            MilError: the blob is missing.
        """
        header = self._bytes[offset : offset + _BLOB_HEADER.size].tobytes()
        if len(header) < _BLOB_HEADER.size:
            raise MilError(f"{self.path}: ends before the weights at {offset}; copy the package again")
        sentinel, kind, size, begin, _unused_bits = _BLOB_HEADER.unpack(header)
        if sentinel != _SENTINEL:
            raise MilError(f"{self.path}: no weights at {offset}; copy the package again")
        if _DTYPES.get(kind) != dtype or size != packed_bytes:
            raise MilError(
                f"{self.path}: the weights at {offset} are {size} bytes of {_DTYPES.get(kind, 'an unknown type')}, but "
                f"the program expects {packed_bytes} of {dtype}; copy the package again"
            )
        if begin + size > len(self._bytes):
            raise MilError(f"{self.path}: ends inside the weights at {offset}; copy the package again")
        return self._bytes[begin : begin + size]
