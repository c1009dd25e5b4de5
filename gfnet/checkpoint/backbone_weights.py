"""Encoders that start from weights of the backbone alone, as timm, torchvision or a GFNet's authors publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from gfnet.checkpoint import load_checkpoint
from gfnet.checkpoint.state_dicts import is_plain, read_pickle, unwrapped
from gfnet.errors import CheckpointError
from gfnet.escaping import one_line
from gfnet.network.backbones import Encoder, family_of

_WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema")
_PREFIXES = ("module.", "net.", "model.")  # of what a backbone is put into
_SHOWN = 3


def load_encoder_weights(encoder: Encoder, path: str | Path, arch: str, *, local: bool = False) -> list[str]:
    """Load a backbone's weights into an encoder; nothing else than tensors is read from the file.

    Its own head is left as it is where the file's has another number of classes.

    Args:
        path: a ``.safetensors`` file, or what ``torch.save`` wrote: a state dict, bare or under ``state_dict`` or
            ``model``, with timm's or the official names; or a network of this project.
        arch: the encoder's backbone.
        local: take the local encoder of such a network, unless it has one step and so a global one only.

    Returns:
        The names of the parameters that were left as they were.

    Raises:
        CheckpointError: the file is missing, no weights, or those of another backbone.
    """
    path = Path(path)
    tensors = _named(path, _read(path, local), encoder, arch)
    own = encoder.net.state_dict()
    head = {f"{encoder.net.pretrained_cfg.get('classifier', 'classifier')}.{kind}" for kind in ("weight", "bias")}
    left = [key for key in head & set(own) if key not in tensors or tensors[key].shape != own[key].shape]
    problems = [f"missing {key}" for key in own if key not in tensors and key not in left]
    problems += [f"unexpected {key}" for key in tensors if key not in own]
    problems += [
        f"{key} is {tuple(value.shape)}, not {tuple(own[key].shape)}"
        for key, value in tensors.items()
        if key in own and key not in left and value.shape != own[key].shape
    ]
    problems += [
        f"{key} is {value.dtype}, not {own[key].dtype}"
        for key, value in tensors.items()
        if key in own and value.is_floating_point() != own[key].is_floating_point()
    ]
    # Old files do not count batches; the count is of no use here.
    problems = [problem for problem in problems if not problem.endswith(".num_batches_tracked")]
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise CheckpointError(f"{path}: no weights of {arch}: {one_line('; '.join(problems[:_SHOWN]))}{more}")
    encoder.net.load_state_dict({key: value for key, value in tensors.items() if key not in left}, strict=False)
    return sorted(left)


def _read(path: Path, local: bool) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(f"{path}: damaged or no weights ({one_line(error)}); get it again") from error
        return tensors if "global_encoder" not in {key.partition(".")[0] for key in tensors} else _own(path, local)
    values = read_pickle(path)
    for name in _WRAPPERS:
        if isinstance(values, dict) and isinstance(values.get(name), dict):
            values = values[name]
    if not isinstance(values, dict) or not any(isinstance(value, Tensor) for value in values.values()):
        raise CheckpointError(f"{path}: no state dict; save the backbone's state_dict()")
    return values


def _own(path: Path, local: bool) -> dict[str, Tensor]:
    """One encoder of a network of this project."""
    model = load_checkpoint(path).model
    return (model.encoders[-1] if local else model.global_encoder).state_dict()


def _named(path: Path, values: dict[Any, Any], encoder: Encoder, arch: str) -> dict[str, Tensor]:
    """The file's tensors under timm's names."""
    tensors = {key: value for key, value in values.items() if isinstance(key, str) and is_plain(value)}
    official = {family_of(arch).official_key(key): key for key in encoder.net.state_dict()}
    return {official.get(key, key): value for key, value in unwrapped(path, tensors, _PREFIXES).items()}
