"""The golden fixtures: what the official code computed, and our networks with the weights that it used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gfnet.config import RELEASED, ModelConfig
from gfnet.evaluation import run_all_steps
from gfnet.network.backbones import family_of
from gfnet.network.model import GFNet
from golden import recipe

GOLDEN = Path(__file__).parent / "golden"

# One network of each family is checked at every run; the other nine differ from one of these in size only.
FAMILY_NAMES = (
    "resnet50_p96_T5",
    "densenet121_p96_T5",
    "regnety_600m_p96_T5",
    "mobilenetv3_large_100_p96_T3",
    "efficientnet_b2_p128_T4",
)
RELEASED_NAMES = [pytest.param(name, marks=() if name in FAMILY_NAMES else pytest.mark.nightly) for name in RELEASED]
"""The fourteen released networks as parameters of a test that runs them."""


@cache
def outputs(name: str) -> Mapping[str, np.ndarray]:
    """The arrays of one file of ``golden/outputs``."""
    with np.load(GOLDEN / "outputs" / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def case(name: str, prefix: str) -> Mapping[str, np.ndarray]:
    """Those arrays of ``outputs(name)`` that start with ``prefix``, named by the rest."""
    return {key.removeprefix(prefix): value for key, value in outputs(name).items() if key.startswith(prefix)}


@cache
def manifest(arch: str) -> Mapping[str, Any]:
    """What the official code says of one backbone: ``config``, ``components`` and more."""
    return json.loads((GOLDEN / "manifest" / f"{arch}.json").read_text())


def manifest_components(arch: str, patch_size: int) -> dict[str, list[tuple[str, tuple[int, ...], str]]]:
    """Official component to its (key, shape, dtype), in the official order."""
    components = dict(manifest(arch)["components"])
    components["policy"] = components["policy"][str(patch_size)]
    return {
        component: [(key, tuple(shape), dtype) for key, shape, dtype in entries]
        for component, entries in components.items()
    }


def official_modules(model: GFNet) -> dict[str, tuple[nn.Module, Callable[[str], str]]]:
    """Official component to our module, and how its keys are called officially."""
    to_official = family_of(model.config.arch).official_key
    return {
        "model_prime_state_dict": (model.global_encoder.net, to_official),
        "model_state_dict": (model.local_encoder.net, to_official),
        "fc": (model.classifier, str),
        "policy": (model.policy, str),
    }


def official_tensors(model: GFNet) -> Iterator[tuple[str, Tensor]]:
    """``component/key`` in the official names, and our tensor: parameters (with their gradients) and buffers."""
    for component, (module, official_key) in official_modules(model).items():
        for key, value in module.state_dict(keep_vars=True).items():
            yield f"{component}/{official_key(key)}", value


@cache
def meta_model(config: ModelConfig) -> GFNet:
    """The network without memory for its weights; shared, so not to be changed."""
    with torch.device("meta"):
        return GFNet(config)


def fill_module(module: nn.Module, component: str, official_key: Callable[[str], str] = str) -> None:
    """Give ``module`` the recipe's weights for ``component``."""
    weights = {
        key: torch.from_numpy(recipe.fill(component, official_key(key), tuple(value.shape)))
        for key, value in module.state_dict().items()
    }
    module.load_state_dict(weights, assign=True)


def recipe_model(config: ModelConfig) -> GFNet:
    """The network with the recipe's weights, in eval mode."""
    with torch.device("meta"):  # no time for random weights
        model = GFNet(config)
    for component, (module, official_key) in official_modules(model).items():
        fill_module(module, component, official_key)
    return model.eval()


def official_content(arch: str, patch_size: int, *, prefix: str = "", hollow: bool = False) -> dict[str, Any]:
    """The four state dicts of an official file, with the recipe's weights.

    Args:
        prefix: before the encoders' keys; released files have ``module.``.
        hollow: zeros instead of weights, as views of a single one: files of a few kB, quickly made.
    """

    def tensor(component: str, key: str, shape: tuple[int, ...], dtype: str) -> Tensor:
        if hollow:
            return torch.zeros((), dtype=getattr(torch, dtype)).expand(shape)
        return torch.from_numpy(recipe.fill(component, key, shape))

    return {
        component: {
            (prefix if component.startswith("model_") else "") + key: tensor(component, key, shape, dtype)
            for key, shape, dtype in entries
        }
        for component, entries in manifest_components(arch, patch_size).items()
    }


@cache
def recipe_images(size: int) -> Tensor:
    """The four normalised images [4,3,size,size]; not to be written to."""
    return torch.from_numpy(recipe.images(size))


@dataclass(frozen=True)
class GoldenRun:
    """One released network run on the recipe's images; T steps, B = 4.

    Attributes:
        expected: the official code's arrays.
        logits: [T,B,1000].
        actions: [T-1,B,2].
        views: what the encoders saw, T times [B,3,P,P]: the glance, then patches.
        feature_maps: T times [B,C,h,w].
        features: [T,B,D].
        encoder_logits: [T,B,1000], of the encoders' own heads.
        hidden: [T-1,B,H], the policy's memory.
        policy_inputs: what the policy was given, T-1 times [B,C,h,w].
        model: the network, with its weights.
    """

    config: ModelConfig
    expected: Mapping[str, np.ndarray]
    logits: Tensor
    actions: Tensor
    views: Sequence[Tensor]
    feature_maps: Sequence[Tensor]
    features: Tensor
    encoder_logits: Tensor
    hidden: Tensor
    policy_inputs: Sequence[Tensor]
    model: GFNet


def golden_run(name: str) -> GoldenRun:
    """Run a released network with the recipe's weights through :func:`gfnet.evaluation.run_all_steps`."""
    config = RELEASED[name]
    model = recipe_model(config)
    views, maps, features, policy_inputs, hidden = [], [], [], [], []

    def watch_encoder(_module: nn.Module, given: tuple[Tensor], returned: tuple[Tensor, Tensor]) -> None:
        views.append(given[0])
        maps.append(returned[0])
        features.append(returned[1])

    def watch_policy(_module: nn.Module, given: tuple[Tensor, Tensor], returned: tuple[Tensor, Tensor]) -> None:
        policy_inputs.append(given[0])
        hidden.append(returned[1])

    hooks = [
        model.global_encoder.register_forward_hook(watch_encoder),
        model.local_encoder.register_forward_hook(watch_encoder),
        model.policy.register_forward_hook(watch_policy),
    ]
    logits, actions = run_all_steps(model, recipe_images(config.image_size))
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        encoder_logits = [model.global_encoder.classify(features[0])]
        encoder_logits += [model.local_encoder.classify(feature) for feature in features[1:]]
    return GoldenRun(
        config=config,
        expected=outputs(name),
        logits=torch.stack(logits),
        actions=torch.stack(actions),
        views=views,
        feature_maps=maps,
        features=torch.stack(features),
        encoder_logits=torch.stack(encoder_logits),
        hidden=torch.stack(hidden),
        policy_inputs=policy_inputs,
        model=model,
    )


def check_columns(value: Tensor) -> np.ndarray:
    """A tensor as the fixtures hold it: sum, absolute sum, l2 norm, first five values; zeros where it is short."""
    flat = value.detach().double().flatten()
    first = flat.new_zeros(5)
    first[: len(flat)] = flat[:5]
    return torch.cat([torch.stack([flat.sum(), flat.abs().sum(), flat.norm()]), first]).numpy()


def assert_columns(tensors: Mapping[str, Tensor], names: Sequence[str], rows: np.ndarray, rtol: float, atol: float):
    """Tensors equal the fixture's rows of :func:`check_columns`.

    Args:
        tensors: by name.
        names: of the rows.
        rows: float64 [len(names), 8].
        rtol: of each column's natural size: sums that may cancel are measured by the absolute sum, single
            values by the tensor's root mean square where they are smaller.
        atol: of what is left of tensors that are zero but for rounding.
    """
    ours = np.stack([check_columns(tensors[name]) for name in names])
    rms = rows[:, 2] / np.sqrt([tensors[name].numel() for name in names])
    size = np.abs(rows)
    size[:, 0] = rows[:, 1]
    size[:, 3:] = np.maximum(size[:, 3:], rms[:, None])
    excess = np.abs(ours - rows) / (rtol * size + atol)
    worst = int(excess.max(1).argmax())
    assert excess.max() <= 1, f"{names[worst]}: {ours[worst]}, not {rows[worst]}; {(excess.max(1) > 1).sum()} in all"
