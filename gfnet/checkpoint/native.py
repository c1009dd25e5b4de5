"""This project's own layout: ``.safetensors``, self-describing.

The weights under this project's names, and in the metadata the configuration, the class labels, the
evaluation, how it was trained, and a digest of the whole file.  A run's own checkpoints carry its state too, in
tensors and metadata of their own: they are checkpoints like any other, and training can go on from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gfnet.checkpoint.contents import Checkpoint, labels_for, load_network
from gfnet.checkpoint.header import Component, Header, header_text, read_header
from gfnet.errors import CheckpointError
from gfnet.escaping import one_line
from gfnet.files.digests import own_digest, with_own_digest
from gfnet.files.writing import atomic_file

_METADATA_KEY = "gfnet"
_STATE_PREFIX = "training."
_LENGTH_BYTES = 8  # before the header of a safetensors file: its length
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class TrainingState:
    """What a run needs beyond the network to go on where it stopped.

    Attributes:
        tensors: of the optimiser.
        values: everything else, JSON-ready.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


def save_checkpoint(
    path: str | Path,
    checkpoint: Checkpoint,
    *,
    half: bool = False,
    state: TrainingState | None = None,
    before_replacing: Callable[[], None] | None = None,
) -> None:
    """Write this project's ``.safetensors``, whole or not at all.

    Args:
        half: store matrices and kernels as float16, at half the size; norms and biases stay float32.  Reading gives
            float32 again.
        state: of the run that is to be continued from this file.
        before_replacing: called when the new file is written and an old one is about to be replaced.

    Raises:
        CheckpointError: labels, results, recipe or state are such that no reader would take them.
        GFNetError: the place is not writable or the disk is full.
    """
    header = Header(
        checkpoint.model.config,
        checkpoint.labels,
        checkpoint.evaluation,
        checkpoint.recipe,
        checkpoint.untrained,
        None if state is None else state.values,
    )
    tensors = {key: value.detach().cpu().contiguous() for key, value in checkpoint.model.state_dict().items()}
    if half:  # variances of norms may be too small for float16
        tensors = {key: value.half() if value.ndim > 1 else value for key, value in tensors.items()}
    if state is not None:
        tensors |= {_STATE_PREFIX + key: value.detach().cpu().contiguous() for key, value in state.tensors.items()}
    try:
        text = header_text(header)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    # One entry: safetensors writes several in random order, and equal networks should be equal files.
    content = memoryview(safetensors.torch.save(tensors, {_METADATA_KEY: text}))
    begin, rest = content[: _begin_bytes(content)], content[_begin_bytes(content) :]
    with atomic_file(path) as temporary:
        # Written here, not by the library, whose own error hides that the disk is full.
        with open(temporary, "wb") as stream:
            stream.write(with_own_digest(bytes(begin), (rest,)))
            stream.write(rest)
        if before_replacing is not None:
            before_replacing()


def is_native(path: Path) -> bool:
    """Whether a file is in this layout, by its name or its first bytes."""
    if path.suffix == ".safetensors":
        return True
    with open(path, "rb") as stream:  # an 8-byte length, then JSON
        return stream.read(9)[8:] == b"{"


def load_native(path: Path) -> Checkpoint:
    """Read a file of this layout.

    Raises:
        CheckpointError: it is damaged, not a file of this project, or does not fit its network.
    """
    header, tensors = _read(path)
    by_component: dict[str, dict[str, Tensor]] = {name: {} for name in get_args(Component)}
    for key, value in tensors.items():
        component, _, rest = key.partition(".")
        by_component.setdefault(component, {})[rest] = value
    by_component.pop(_STATE_PREFIX.removesuffix("."), None)
    model = load_network(path, header.config, by_component)
    labels = labels_for(header.config, header.labels)
    return Checkpoint(model, labels, header.evaluation, header.recipe, header.untrained)


def load_training_state(path: Path) -> TrainingState:
    """The state of the run that wrote this file.

    Raises:
        CheckpointError: it is damaged, not a file of this project, or holds no state.
    """
    header, tensors = _read(path)
    if header.training is None:
        raise CheckpointError(f"{path}: a finished network without the state of its training; pass it as --init")
    state = {k.removeprefix(_STATE_PREFIX): v for k, v in tensors.items() if k.startswith(_STATE_PREFIX)}
    return TrainingState(state, header.training)


def _read(path: Path) -> tuple[Header, dict[str, Tensor]]:
    """Header and tensors of a file that is whole."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no mapping
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged, or not a safetensors file ({one_line(error)}); copy it again"
        ) from error
    if _METADATA_KEY not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of this project")
    try:
        header = read_header(metadata[_METADATA_KEY])
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if header.digest is not None:
        with open(path, "rb") as stream:
            begin = stream.read(_LENGTH_BYTES)
            begin += stream.read(_begin_bytes(begin) - _LENGTH_BYTES)
            pieces = iter(lambda: stream.read(_PIECE_BYTES), b"")
            whole = own_digest(begin, header.digest, pieces) == header.digest
    else:  # of an older release
        whole = header.weights_sha256 in (None, _weights_digest(tensors))
    if not whole:
        raise CheckpointError(f"{path}: damaged, as its digest differs; copy it again")
    return header, tensors


def _begin_bytes(file: bytes | memoryview) -> int:
    """Length of all that lies before a file's tensors."""
    return _LENGTH_BYTES + int.from_bytes(file[:_LENGTH_BYTES], "little")


def _weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """What older releases stored: of the weights, but neither of their types nor of what is said about them."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
