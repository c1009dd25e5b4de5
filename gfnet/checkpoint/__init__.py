"""Networks on disk: this project's ``.safetensors``, and the official ``.pth.tar``."""

from __future__ import annotations

from pathlib import Path

from gfnet.checkpoint.contents import Checkpoint, imagenet_labels
from gfnet.checkpoint.native import TrainingState, is_native, load_native, load_training_state, save_checkpoint
from gfnet.checkpoint.official import load_official, save_official
from gfnet.config import refuse_told
from gfnet.errors import CheckpointError, ConfigError
from gfnet.shipped import checkpoint_path

__all__ = [
    "Checkpoint",
    "TrainingState",
    "imagenet_labels",
    "load_checkpoint",
    "load_training_state",
    "save_checkpoint",
    "save_official",
]


def load_checkpoint(
    path: str | Path, *, arch: str | None = None, patch_size: int | None = None, steps: int | None = None
) -> Checkpoint:
    """Read a checkpoint of either layout; no GPU is needed, wherever it was written.

    Args:
        path: a ``.safetensors`` file of this project, an official ``.pth.tar``, or the name of a shipped network, where
            there is no file of that name.
        arch: what an official file without ``model_name`` is; recognised by its shapes if left out.  This and what
            follows is refused where the file itself says something else.
        patch_size: of an official file that does not say; recognised by its policy if left out.
        steps: T of an official file that does not say; the released network's if left out.

    Raises:
        CheckpointError: the file is missing, damaged, no checkpoint, does not fit its network, or is another one than
            ``arch`` and the others say; the message names the file, the component and the first offending keys.
    """
    path = checkpoint_path(path)
    try:
        if is_native(path):
            refuse_told(arch=arch, patch_size=patch_size, steps=steps)
            return load_native(path)
        return load_official(path, arch, patch_size, steps)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
