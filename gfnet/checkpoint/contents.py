"""What a checkpoint holds, whatever its layout on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gfnet.checkpoint.state_dicts import is_plain
from gfnet.config import ModelConfig
from gfnet.errors import CheckpointError, ConfigError
from gfnet.escaping import one_line
from gfnet.inference.budgets import Evaluation
from gfnet.network.backbones.encoder import same_key
from gfnet.network.model import GFNet

_SHOWN_KEYS = 3


@dataclass(frozen=True)
class Checkpoint:
    """A network with what is known about it.

    Attributes:
        model: weights loaded, on the CPU, in eval mode.
        labels: class names, or ``None`` where they are unknown.
        evaluation: results stored with it, if any.
        recipe: how it was trained, if known.
        untrained: components whose weights the file does not hold ("policy" after stage 1).
    """

    model: GFNet
    labels: tuple[str, ...] | None = None
    evaluation: Evaluation | None = None
    recipe: Mapping[str, Any] | None = None
    untrained: tuple[str, ...] = ()


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 ImageNet class names that torchvision ships."""
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.DEFAULT.meta["categories"])


def labels_for(config: ModelConfig, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The stored ``labels``, or what a network of so many classes must mean."""
    if labels is None:
        return imagenet_labels() if config.num_classes == 1000 else None
    return labels


Parts = Callable[[GFNet], Mapping[str, tuple[nn.Module, Callable[[str], str]]]]
"""A network's components by the names that a file gives them, each with what the file calls our keys."""


def _own_parts(model: GFNet) -> Mapping[str, tuple[nn.Module, Callable[[str], str]]]:
    return {name: (module, same_key) for name, module in model.named_children()}


def load_network(
    path: Path, config: ModelConfig, tensors: Mapping[str, Mapping[str, Any]], parts: Parts = _own_parts
) -> GFNet:
    """A network with a file's weights, float32 on the CPU, in eval mode.

    Everything is compared before memory is taken for the network, so a file that lies about it takes no more than
    its own size.

    Args:
        tensors: of each component, by the file's keys; a component that it lacks stays random.

    Raises:
        CheckpointError: they do not fit the network, or the configuration is not possible.
    """
    try:
        with torch.device("meta"):  # names, shapes and types, but no numbers
            model = GFNet(config)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # a backbone's library raises nearly anything for a setting that the backbone lacks
        raise CheckpointError(f"{path}: invalid network ({one_line(error)}); copy the file again") from error
    known = parts(model)
    for component, values in tensors.items():
        if component not in known:
            raise CheckpointError(f"{path}: unexpected component {one_line(component)}")
        _check_component(path, component, values, *known[component])
    computed = {name for name, _ in model.named_buffers()} - model.state_dict().keys()
    if computed or known.keys() - tensors.keys():
        model = GFNet(config)  # it has more than the file gives
    for component, (module, file_key) in parts(model).items():
        if component in tensors:
            module.load_state_dict(
                {key: _plain_copy(tensors[component][file_key(key)], own) for key, own in module.state_dict().items()},
                assign=True,
            )
    return model.eval()


def _check_component(
    path: Path, component: str, tensors: Mapping[str, Any], module: nn.Module, file_key: Callable[[str], str]
) -> None:
    """Say what does not fit, if anything."""
    expected = {file_key(key): value for key, value in module.state_dict().items()}
    problems = []
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    no_tensors, shapes, types = [], [], []
    for key, own in expected.items():
        if key not in tensors:
            continue
        value: Any = tensors[key]
        if not is_plain(value):
            no_tensors.append(key)
        elif value.shape != own.shape:
            shapes.append(f"{key} is {tuple(value.shape)}, not {tuple(own.shape)}")
        elif value.dtype not in (_FLOATS if own.dtype in _FLOATS else (own.dtype,)):
            types.append(f"{key} is {value.dtype}, not {own.dtype}")
    for what, keys in (
        ("missing", missing),
        ("unexpected", unexpected),
        ("wrong shape:", shapes),
        ("wrong type:", types),
        ("no tensor:", no_tensors),
    ):
        if keys:
            more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
            problems.append(f"{what} {one_line(', '.join(keys[:_SHOWN_KEYS]))}{more}")
    if problems:
        raise CheckpointError(f"{path}: {component} does not fit the network: {'; '.join(problems)}")


# Not bfloat16, which is never written: by an altered header it could stand for float16.
_FLOATS = (torch.float16, torch.float32, torch.float64)


def _plain_copy(value: Tensor, own: Tensor) -> Tensor:
    """In memory of its own, not the file's, in a parameter's type."""
    return value.detach().to(own.dtype, copy=True, memory_format=torch.contiguous_format)
