"""The official layout: ``.pth.tar``, a pickled dictionary of state dicts.

Two variants exist: released files (``module.`` before every encoder key, evaluation results inside) and
those of the official trainer (neither).  Nothing is ever unpickled that could run code.
"""

from __future__ import annotations

import io
import math
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gfnet.checkpoint.contents import Checkpoint, labels_for, load_network
from gfnet.checkpoint.state_dicts import is_plain, read_pickle, unwrapped
from gfnet.config import OFFICIAL_ARCHS, RELEASED, ModelConfig, model_config
from gfnet.errors import CheckpointError
from gfnet.escaping import one_line
from gfnet.files.writing import atomic_file
from gfnet.inference.budgets import BudgetPoint, Evaluation
from gfnet.limits import MOST_BUDGETS
from gfnet.network.backbones import create_encoder, family_of
from gfnet.network.backbones.encoder import same_key
from gfnet.network.cost import cumulative_macs
from gfnet.network.model import GFNet

_PREFIX = "module."  # nn.DataParallel's
_ENCODERS = ("model_prime_state_dict", "model_state_dict")


def save_official(path: str | Path, checkpoint: Checkpoint, *, prefix: bool = True) -> None:
    """Write the official layout, whole or not at all.

    Args:
        prefix: put ``module.`` before the encoders' keys, as released files have it and the official
            ``inference.py`` wants it; its trainer wants none.

    Raises:
        CheckpointError: the official code cannot build the network.
        GFNetError: the place is not writable or the disk is full.
    """
    config = checkpoint.model.config
    if config.arch not in OFFICIAL_ARCHS:
        raise CheckpointError(
            f"{path}: the official code has no backbone {config.arch!r}; save as .safetensors instead"
        )
    default = model_config(config.arch, config.patch_size, config.steps, num_classes=config.num_classes)
    if config != default:
        differing = [name for name, value in config.to_dict().items() if value != default.to_dict()[name]]
        raise CheckpointError(
            f"{path}: the official layout cannot say that {', '.join(differing)} differ from the released "
            "network's; save as .safetensors instead"
        )
    evaluation = checkpoint.evaluation
    content: dict[str, Any] = {
        "model_name": config.arch,
        "patch_size": config.patch_size,
        "flops": list(evaluation.macs if evaluation else cumulative_macs(checkpoint.model)),  # T is its length
    }
    for component, (module, official_key) in _components(checkpoint.model).items():
        start = _PREFIX if prefix and component in _ENCODERS else ""
        content[component] = {
            start + official_key(key): value.detach().cpu().contiguous() for key, value in module.state_dict().items()
        }
    if evaluation is not None:
        content["anytime_classification"] = list(evaluation.anytime_top1)
        content["dynamic_threshold"] = torch.tensor([point.thresholds for point in evaluation.budgeted])
        content["budgeted_batch_classification"] = [
            [point.mean_macs for point in evaluation.budgeted],
            [point.top1 for point in evaluation.budgeted],
        ]
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _components(model: GFNet) -> dict[str, tuple[nn.Module, Callable[[str], str]]]:
    """Official component name to our module and its key translation."""
    to_official = family_of(model.config.arch).official_key
    # The encoders' networks themselves: the official files know no wrapper around them.
    return {
        "model_prime_state_dict": (model.global_encoder.net, to_official),
        "model_state_dict": (model.local_encoder.net, to_official),
        "fc": (model.classifier, same_key),
        "policy": (model.policy, same_key),
    }


def load_official(path: Path, arch: str | None, patch_size: int | None, steps: int | None) -> Checkpoint:
    """Read a file of this layout; the arguments complete what it does not say.

    Raises:
        CheckpointError: it is damaged, no checkpoint, or does not fit its network.
    """
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a checkpoint of the official code: it holds a {type(content).__name__}")
    components: dict[str, dict[str, Any]] = {}
    for name in (*_ENCODERS, "fc", "policy"):
        tensors = content.get(name)
        if tensors is None and name == "policy":
            continue  # the trainer's stage 1 writes None
        if tensors is None:
            raise CheckpointError(f"{path}: not a checkpoint of the official code: component {name} is missing")
        if not isinstance(tensors, Mapping) or not all(isinstance(key, str) for key in tensors):
            raise CheckpointError(f"{path}: component {name} is not a state dict")
        components[name] = unwrapped(path, tensors)
    config = _official_config(path, content, components, arch, patch_size, steps)
    evaluation = _official_evaluation(path, content, config)
    model = load_network(path, config, components, _components)
    untrained = () if "policy" in components else ("policy",)
    return Checkpoint(model, labels_for(config, None), evaluation, None, untrained)


def _official_config(
    path: Path,
    content: Mapping[str, Any],
    components: Mapping[str, Mapping[str, Any]],
    arch: str | None,
    patch_size: int | None,
    steps: int | None,
) -> ModelConfig:
    """What the file says of its network, completed by the caller, then by the shapes of its tensors."""
    asked = {"arch": arch, "patch-size": patch_size, "steps": steps}
    told = _first(content.get("model_name"), arch)
    arch = _recognise_arch(path, components["model_state_dict"]) if told is None else told
    if not isinstance(arch, str) or arch not in OFFICIAL_ARCHS:
        shown = one_line(reprlib.repr(arch))
        raise CheckpointError(f"{path}: unknown model_name {shown}; known are {', '.join(OFFICIAL_ARCHS)}")
    released = [config for config in RELEASED.values() if config.arch == arch]
    told = _first(content.get("patch_size"), patch_size)
    patch_size = _recognise_patch(components.get("policy"), released) if told is None else told
    if patch_size is None:
        raise CheckpointError(f"{path}: neither a policy nor a patch size in this file; pass --patch-size")
    flops = content.get("flops")
    try:
        patch_size, flops = int(patch_size), [] if flops is None else _numbers("flops", flops)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: patch_size or flops is damaged ({one_line(error)}); copy the file again"
        ) from error
    steps = len(flops) or steps or released[0].steps
    for (option, value), found in zip(asked.items(), (arch, patch_size, steps), strict=True):
        if value not in (None, found):
            raise CheckpointError(
                f"{path}: says itself that its {option} is {found}, not {value}; leave out --{option}"
            )
    head = next((v for k, v in components["fc"].items() if k in ("fc.weight", "fc_2.weight")), None)
    num_classes = int(head.shape[0]) if isinstance(head, Tensor) and head.ndim == 2 else None
    return model_config(arch, patch_size, steps, num_classes=num_classes)


def _first(told: Any, given: Any) -> Any:
    """What the file says, or else the caller."""
    return given if told is None else told


def _recognise_arch(path: Path, tensors: Mapping[str, Any]) -> str:
    """The official backbone whose parameters have these names and shapes, its head aside."""
    shapes = {
        key: tuple(getattr(value, "shape", ()))
        for key, value in tensors.items()
        if not key.startswith(("fc.", "classifier."))
    }
    for arch in OFFICIAL_ARCHS:
        official_key = family_of(arch).official_key
        with torch.device("meta"):
            net = create_encoder(arch, 1, 96).net
        if shapes == {
            official_key(key): tuple(value.shape)
            for key, value in net.state_dict().items()
            if not official_key(key).startswith(("fc.", "classifier."))
        }:
            return arch
    raise CheckpointError(f"{path}: model_state_dict fits none of the official backbones; pass --arch")


def _recognise_patch(policy: Mapping[str, Any] | None, released: list[ModelConfig]) -> int | None:
    """The released patch size whose feature map fits the policy's first linear layer."""
    if policy is None:
        return None
    linear = policy.get("state_encoder.3.weight", policy.get("state_encoder.0.weight"))
    for config in released:
        with torch.device("meta"):
            model = GFNet(config)
        expected = model.policy.state_encoder.state_dict()
        fits = expected.get("3.weight", expected["0.weight"]).shape
        if isinstance(linear, Tensor) and linear.shape == fits:
            return config.patch_size
    return None


def _official_evaluation(path: Path, content: Mapping[str, Any], config: ModelConfig) -> Evaluation | None:
    """The results that released files carry, in this project's terms; ``None`` where they are not complete."""
    names = ("flops", "anytime_classification", "dynamic_threshold", "budgeted_batch_classification")
    if any(content.get(name) is None for name in names):
        return None
    try:
        thresholds = _rows("dynamic_threshold", content["dynamic_threshold"])
        costs, accuracies = _rows("budgeted_batch_classification", content["budgeted_batch_classification"])
        if any(len(row) != config.steps for row in thresholds):
            raise ValueError(f"dynamic_threshold must have {config.steps} values in each row")
        points = tuple(
            BudgetPoint(cost, tuple(row), None if math.isnan(top1) else top1, cost, ())
            for row, cost, top1 in zip(thresholds, costs, accuracies, strict=True)
        )
        return Evaluation(
            images=0,
            macs=tuple(_numbers("flops", content["flops"])),
            anytime_top1=tuple(_numbers("anytime_classification", content["anytime_classification"])),
            budgeted=points,
        )
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise CheckpointError(f"{path}: its evaluation results are damaged ({one_line(error)})") from error


def _rows(name: str, values: Any) -> list[list[float]]:
    """Rows of numbers in any of the forms in which the official code stored them, of bounded size."""
    return [_numbers(name, row) for row in _items(name, values)]


def _numbers(name: str, values: Any) -> list[float]:
    """Likewise of one row; NaN for ``None``."""
    return [math.nan if value is None else _number(name, value) for value in _items(name, values)]


def _items(name: str, values: Any) -> list[Any]:
    if not (isinstance(values, list | tuple | np.ndarray) or is_plain(values)):
        raise TypeError(f"{name} is a {type(values).__name__}, not a list")
    if len(values) > MOST_BUDGETS:
        raise ValueError(f"{name} has {len(values)} values")
    return list(values)


def _number(name: str, value: Any) -> float:
    scalar = isinstance(value, np.ndarray | Tensor) and value.ndim == 0
    if not (scalar or isinstance(value, int | float | np.number)) or isinstance(value, bool):
        raise TypeError(f"{name} holds a {type(value).__name__}, not a number")
    return float(value)
