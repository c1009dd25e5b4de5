"""Types and constants of ML programs: what the protobuf says, as numpy arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gfnet.errors import MilError
from gfnet_export.mil.blobs import BlobFile
from gfnet_export.mil.proto import MIL_pb2

MOST_ELEMENTS = 1 << 27
"""More than any phone's network has in one tensor; a damaged file may ask for anything."""

_BITS = {"uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "int4": 4, "uint6": 6}
_SUPPORTED = {
    *("bool", "string", "float16", "float32", "float64"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *_BITS,
}


@dataclass(frozen=True)
class TensorType:
    """What a value is.

    Attributes:
        dtype: numpy's name, or that of a narrow integer (``uint1`` … ``uint6``, ``int4``), or ``string``.
        shape: empty for a scalar; ``None`` where a dimension is flexible.
        container: ``state``, ``list``, ``tuple`` or ``dictionary`` where the value is not a tensor but holds some, of
            which ``dtype`` and ``shape`` then speak.
    """

    dtype: str
    shape: tuple[int | None, ...] = ()
    container: str = ""

    @property
    def elements(self) -> int:
        """Number of elements.

        Raises:
            MilError: it is not a tensor, a dimension is flexible, or there are too many.
        """
        if self.container:
            raise MilError(f"a {self} is not supported here")
        count = 1
        for size in self.shape:
            if size is None:
                raise MilError(f"shape {self} is flexible; export it with fixed shapes")
            count *= size
        if count > MOST_ELEMENTS:
            raise MilError(f"{self} has {count} elements, more than any network here; the package is damaged")
        return count

    @property
    def bytes(self) -> int:
        """Size of all elements, packed."""
        bits = _BITS.get(self.dtype) or 8 * np.dtype(self.dtype).itemsize
        return math.ceil(self.elements * bits / 8)

    def __str__(self) -> str:
        tensor = f"{self.dtype} {shown_shape(self.shape)}"
        return f"{self.container} of {tensor}" if self.container else tensor


def shown_shape(shape: Iterable[int | None]) -> str:
    """A shape as messages show it: ``[1, ?, 4]``."""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


@dataclass(frozen=True)
class Constant:
    """A value that the program holds.

    Attributes:
        type: what it is.
        value: an array of ``type.shape``, narrow integers one a byte; a string where it is one; what a list holds.
        stored_bytes: what it takes in ``weight.bin``; 0 where it stands in the program itself.
    """

    type: TensorType
    value: np.ndarray | str | tuple[Any, ...]
    stored_bytes: int = 0


def read_type(message: Any) -> TensorType:
    """A ``ValueType``.

    Raises:
        MilError: it has no type, or an unknown element type.
    """
    kind = message.WhichOneof("type")
    if kind == "stateType":
        return dataclasses.replace(read_type(message.stateType.wrappedType), container="state")
    if kind == "listType":
        return dataclasses.replace(read_type(message.listType.type), container="list")
    if kind == "dictionaryType":
        return dataclasses.replace(read_type(message.dictionaryType.valueType), container="dictionary")
    if kind == "tupleType":
        return TensorType("values", (len(message.tupleType.types),), container="tuple")
    if kind != "tensorType":
        raise MilError("a value has no type")
    tensor = message.tensorType
    dtype = _dtype_name(tensor.dataType)
    shape = tuple(
        int(dimension.constant.size) if dimension.WhichOneof("dimension") == "constant" else None
        for dimension in tensor.dimensions
    )
    return TensorType(dtype, shape)


def read_constant(message: Any, blob_file: Callable[[str], BlobFile]) -> Constant:
    """A ``Value``.

    Args:
        blob_file: gives the weight file of a name.

    Raises:
        MilError: it does not hold what its type says.
    """
    kind = read_type(message.type)
    if kind.container in ("list", "tuple"):
        parts = getattr(message.immediateValue, kind.container).values
        return Constant(kind, tuple(read_constant(part, blob_file).value for part in parts))
    if message.WhichOneof("value") == "blobFileValue":
        stored = blob_file(message.blobFileValue.fileName).read(message.blobFileValue.offset, kind.dtype, kind.bytes)
        return Constant(kind, _from_bytes(stored, kind), kind.bytes)
    immediate = message.immediateValue
    if immediate.WhichOneof("value") != "tensor":
        raise MilError(f"a constant {immediate.WhichOneof('value') or 'without a value'} is not known here")
    field = immediate.tensor.WhichOneof("value")
    if field is None:
        if kind.elements:
            raise MilError(f"a constant {kind} has no value")
        return Constant(kind, np.zeros([size or 0 for size in kind.shape], _numpy_dtype(kind.dtype)))
    values = getattr(immediate.tensor, field).values
    if field == "bytes":
        return Constant(kind, _from_bytes(np.frombuffer(values, np.uint8), kind))
    if len(values) != kind.elements:
        raise MilError(f"a constant {kind} has {len(values)} values")
    if kind.dtype == "string":
        if kind.shape:
            raise MilError("a list of strings is not known here")
        return Constant(kind, str(values[0]))
    if field == "strings":
        raise MilError(f"a constant {kind} holds text")
    try:
        array = np.array(values, _numpy_dtype(kind.dtype))
    except (OverflowError, ValueError) as error:
        raise MilError(f"a constant {kind} holds values of another type ({error})") from error
    return Constant(kind, array.reshape([size or 0 for size in kind.shape]))


def unpack(packed: np.ndarray, bits: int, count: int, *, signed: bool = False) -> np.ndarray:
    """Integers of ``bits`` bits each, packed from the lowest bit up, as uint8 or int8 [count].

    Raises:
        MilError: there are not so many.
    """
    if packed.size * 8 < count * bits:
        raise MilError(f"{packed.size} bytes cannot hold {count} values of {bits} bits")
    flat = np.unpackbits(packed.reshape(-1), bitorder="little")[: count * bits].reshape(count, bits)
    values = np.packbits(flat, axis=1, bitorder="little")[:, 0]
    if signed:
        return (values.astype(np.int8) << (8 - bits)) >> (8 - bits)
    return values


def _from_bytes(stored: np.ndarray, kind: TensorType) -> np.ndarray:
    if len(stored) != kind.bytes:
        raise MilError(f"a constant {kind} has {len(stored)} bytes")
    shape = [size or 0 for size in kind.shape]
    if kind.dtype in _BITS:
        signed = kind.dtype.startswith("int")
        return unpack(stored, _BITS[kind.dtype], kind.elements, signed=signed).reshape(shape)
    # Not copied: many constants may name the same bytes.
    return np.asarray(stored).view(np.dtype(kind.dtype).newbyteorder("<")).reshape(shape)


def _dtype_name(number: int) -> str:
    try:
        name: str = MIL_pb2.DataType.Name(number).lower()
    except ValueError:
        raise MilError(f"element type {number} is not known here") from None
    if name not in _SUPPORTED:
        raise MilError(f"element type {name} is not known here")
    return name


def _numpy_dtype(name: str) -> Any:
    return np.dtype("int8" if name == "int4" else "uint8" if name in _BITS else name)
