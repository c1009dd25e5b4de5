"""State dicts of anybody's: files that ``torch.save`` wrote, and keys that a wrapper around the network changed.

Nothing is ever unpickled that could run code.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gfnet.errors import CheckpointError

_COMPILED = "_orig_mod."  # torch.compile's, before the keys of whatever module was compiled
_PARALLEL = "module."  # nn.DataParallel's


def unwrapped(path: Path, tensors: Mapping[str, Any], prefixes: Sequence[str] = (_PARALLEL,)) -> dict[str, Any]:
    """The tensors under the names that the network itself gives them.

    ``_orig_mod.`` is removed wherever it stands, and each of ``prefixes`` as long as all keys begin with it.

    Raises:
        CheckpointError: two keys become one.
    """
    keys = {key: key.replace(_COMPILED, "") for key in tensors}
    while keys and (shared := [start for start in prefixes if all(name.startswith(start) for name in keys.values())]):
        keys = {key: name.removeprefix(shared[0]) for key, name in keys.items()}
    names = {name: tensors[key] for key, name in keys.items()}
    if len(names) < len(keys):
        raise CheckpointError(f"{path}: has two tensors of one name but for {_COMPILED}; save the state_dict() again")
    return names


def is_plain(value: Any) -> bool:
    """Whether it is a tensor with its numbers in memory, neither sparse nor quantized."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def read_pickle(path: Path) -> Any:
    """What ``torch.save`` wrote: tensors, numbers, text and containers of them, on the CPU.

    Raises:
        CheckpointError: it is damaged, holds anything else, or would grow beyond its own size.
    """
    try:
        _check_archive(path)
        with torch.serialization.safe_globals(_numpy_globals()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol of files that are not pickles
            return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        what = "holds more than weights" if "Unsupported global" in str(error) else "cannot be read"
        raise CheckpointError(f"{path}: not a checkpoint, as it {what}; nothing in it was run") from error
    except Exception as error:  # damaged bytes make torch raise nearly anything: IndexError, struct.error, ...
        kind = "truncated or damaged" if zipfile.is_zipfile(path) or _starts_like_zip(path) else "no checkpoint"
        raise CheckpointError(f"{path}: {kind}; copy it again or choose another file") from error


def _check_archive(path: Path) -> None:
    """Refuse an archive whose members are larger than it is: torch stores each as it is, and once."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise CheckpointError(f"{path}: a compressed archive, which torch never writes; save it again")


def _numpy_globals() -> list[Any]:
    """What pickled numpy numbers and arrays call: all that such files may hold besides tensors and containers."""
    functions: list[Any] = [np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]]
    # numpy 1 knew them under another module's name.
    old_names = [(function, f"numpy.core.multiarray.{function.__name__}") for function in functions]
    return [*functions, *old_names, np.ndarray, np.dtype, *(type(np.dtype(code)) for code in ("f8", "f4", "i8", "i4"))]


def _starts_like_zip(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(2) == b"PK"
