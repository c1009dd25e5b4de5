"""This project's own layout: ``.safetensors``, self-describing.

The weights under this project's names, and in the metadata the configuration, the class labels, the
evaluation and how it was trained.  A run's own checkpoints carry its state too, in tensors and metadata of
their own: they are checkpoints like any other, and training can go on from them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gfnet.checkpoint.contents import Checkpoint, labels_for, load_component
from gfnet.config import ModelConfig
from gfnet.errors import CheckpointError
from gfnet.files import atomic_file
from gfnet.model import GFNet
from gfnet.results import Evaluation

FORMAT_VERSION = 1
_METADATA_KEY = "gfnet"
_STATE_PREFIX = "training."


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
        GFNetError: the place is not writable or the disk is full.
    """
    content = {
        "format_version": FORMAT_VERSION,
        "config": checkpoint.model.config.to_dict(),
        "labels": checkpoint.labels,
        "evaluation": checkpoint.evaluation and dataclasses.asdict(checkpoint.evaluation),
        "recipe": checkpoint.recipe,
        "untrained": checkpoint.untrained,
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in checkpoint.model.state_dict().items()}
    if half:  # variances of norms may be too small for float16
        tensors = {key: value.half() if value.ndim > 1 else value for key, value in tensors.items()}
    if state is not None:
        content["training"] = state.values
        tensors |= {_STATE_PREFIX + key: value.detach().cpu().contiguous() for key, value in state.tensors.items()}
    content["sha256"] = _digest(tensors)
    # One entry: safetensors writes several in random order, and equal networks should be equal files.
    metadata = {_METADATA_KEY: json.dumps(content)}
    with atomic_file(path) as temporary:
        # Written here, not by the library, whose own error hides that the disk is full.
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))
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
        CheckpointError: it is damaged, none of this project's, or does not fit its network.
    """
    content, tensors = _read(path)
    try:
        config = ModelConfig.from_dict(content["config"])
        labels, recipe, untrained = content["labels"], content["recipe"], tuple(content["untrained"])
        stored = content["evaluation"] and Evaluation.from_dict(content["evaluation"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its metadata is damaged ({error}); copy it again") from error
    model = GFNet(config)
    by_component: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        component, _, rest = key.partition(".")
        by_component.setdefault(component, {})[rest] = value
    by_component.pop(_STATE_PREFIX.removesuffix("."), None)
    for component, module in model.named_children():
        load_component(path, component, module, by_component.pop(component, {}))
    if by_component:
        raise CheckpointError(f"{path}: unexpected component {next(iter(by_component))}")
    return Checkpoint(model.eval(), labels_for(config, labels), stored, recipe, untrained)


def load_training_state(path: Path) -> TrainingState:
    """The state of the run that wrote this file.

    Raises:
        CheckpointError: it is damaged, none of this project's, or holds no state.
    """
    content, tensors = _read(path)
    if "training" not in content:
        raise CheckpointError(f"{path}: a finished network without the state of its training; pass it as --init")
    state = {k.removeprefix(_STATE_PREFIX): v for k, v in tensors.items() if k.startswith(_STATE_PREFIX)}
    return TrainingState(state, content["training"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors of a file that is whole."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no mapping
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged or no safetensors file ({error}); copy it again") from error
    if _METADATA_KEY not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of this project")
    try:
        content = json.loads(metadata[_METADATA_KEY])
        version = content["format_version"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its metadata is damaged ({error}); copy it again") from error
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {version}, but this release reads {FORMAT_VERSION}; use the release that wrote it"
        )
    if "sha256" in content and content["sha256"] != _digest(tensors):
        raise CheckpointError(f"{path}: damaged, its weights are not those that were written; copy it again")
    return content, tensors


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
