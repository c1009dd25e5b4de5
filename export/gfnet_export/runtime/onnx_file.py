"""Where an ONNX file keeps its tensors, read from its bytes: the runtime has no ``onnx``."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from gfnet.errors import BundleError

# Messages of onnx.proto in which a tensor can lie, and the numbers of the fields that lead there.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of a tensor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def refuse_external_data(path: Path) -> None:
    """Refuse a model that keeps tensors in other files, or in memory: no digest covers what is read from there.

    Raises:
        BundleError: it does, or is not an ONNX model.
    """
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as file:
            external = _has_external_data(file)
    except (OSError, ValueError, IndexError) as error:
        raise BundleError(f"{path}: not an ONNX model; copy the bundle again") from error
    if external:
        raise BundleError(f"{path}: keeps tensors outside of itself, where no digest covers them; export it again")


def _has_external_data(file: mmap.mmap) -> bool:
    waiting = [("model", 0, len(file))]
    while waiting:
        kind, begin, end = waiting.pop()
        for field, value in _fields(file, begin, end):
            if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
                return True
            if field in _INSIDE[kind] and isinstance(value, range):
                waiting.append((_INSIDE[kind][field], value.start, value.stop))
    return False


def _fields(file: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int | range]]:
    """The fields of a protobuf message: number, and a number or where its bytes lie."""
    while at < end:
        key, at = _varint(file, at)
        field, wire = key >> 3, key & 7
        value: int | range
        if wire == _VARINT:
            value, at = _varint(file, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
            value, at = range(at, at + length), at + length
        elif wire == _BYTES:
            length, at = _varint(file, at)
            value, at = range(at, at + length), at + length
        else:
            raise ValueError(f"wire type {wire}")
        if at > end:
            raise ValueError("a field goes beyond its message")
        yield field, value


def _varint(file: mmap.mmap, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")
