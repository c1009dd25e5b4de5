"""This project's own layout: ``.safetensors``, self-describing.

The weights under this project's names, and in the metadata the configuration, the class labels, the
evaluation and the recipe.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from gfnet.checkpoint.contents import Checkpoint, labels_for, load_component
from gfnet.config import ModelConfig
from gfnet.errors import CheckpointError
from gfnet.files import atomic_file
from gfnet.model import GFNet
from gfnet.results import Evaluation

FORMAT_VERSION = 1
_METADATA_KEY = "gfnet"


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write this project's ``.safetensors``, whole or not at all.

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
    # One entry: safetensors writes several in random order, and equal networks should be equal files.
    metadata = {_METADATA_KEY: json.dumps(content)}
    tensors = {key: value.detach().cpu().contiguous() for key, value in checkpoint.model.state_dict().items()}
    with atomic_file(path) as temporary:
        # Written here, not by the library, whose own error hides that the disk is full.
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))


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
        if content["format_version"] != FORMAT_VERSION:
            raise CheckpointError(
                f"{path}: format version {content['format_version']}, but this release reads {FORMAT_VERSION}; "
                "use the release that wrote it"
            )
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
    for component, module in model.named_children():
        load_component(path, component, module, by_component.pop(component, {}))
    if by_component:
        raise CheckpointError(f"{path}: unexpected component {next(iter(by_component))}")
    return Checkpoint(model.eval(), labels_for(config, labels), stored, recipe, untrained)
