"""What a checkpoint holds, whatever its layout on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gfnet.backbones.encoder import same_key
from gfnet.config import ModelConfig
from gfnet.errors import CheckpointError
from gfnet.model import GFNet
from gfnet.results import Evaluation

_SHOWN_KEYS = 3


@dataclass(frozen=True)
class Checkpoint:
    """A network with what is known about it.

    Attributes:
        model: weights loaded, on the CPU, in eval mode.
        labels: class names, or ``None`` where nobody knows them.
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


def labels_for(config: ModelConfig, labels: list[str] | None) -> tuple[str, ...] | None:
    """The stored ``labels``, or what a network of so many classes must mean."""
    if labels is None:
        return imagenet_labels() if config.num_classes == 1000 else None
    return tuple(labels)


def load_component(
    path: Path,
    component: str,
    module: nn.Module,
    tensors: Mapping[str, Any],
    file_key: Callable[[str], str] = same_key,
) -> None:
    """Load one component strictly, or say what does not fit; ``file_key`` is what the file calls our keys."""
    expected = {file_key(key): value for key, value in module.state_dict().items()}
    problems = []
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    shapes = [
        f"{key} is {tuple(tensors[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if isinstance(tensors.get(key), Tensor) and tensors[key].shape != value.shape
    ]
    no_tensors = [key for key in expected if key in tensors and not isinstance(tensors[key], Tensor)]
    for what, keys in (
        ("missing", missing),
        ("unexpected", unexpected),
        ("wrong shape:", shapes),
        ("no tensor:", no_tensors),
    ):
        if keys:
            more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
            problems.append(f"{what} {', '.join(keys[:_SHOWN_KEYS])}{more}")
    if problems:
        raise CheckpointError(f"{path}: {component} does not fit the network: {'; '.join(problems)}")
    module.load_state_dict({key: tensors[file_key(key)] for key in module.state_dict()})
