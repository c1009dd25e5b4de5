"""The exportable parts of a network: thin modules over its step functions.

Every part takes a batch of one and fixed shapes; images come as pixels in 0 .. 255 and are normalised in
the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gfnet.backbones import Encoder
from gfnet.classifier import CascadeClassifier
from gfnet.config import ModelConfig
from gfnet.model import GFNet, State
from gfnet_export import names

Role = Literal["glance", "policy", "focus", "baseline"]


@dataclass(frozen=True)
class Component:
    """One exportable part.

    Attributes:
        name: file name without suffix.
        role: what it does in the sequence.
        steps: the steps (1 .. T) that run it.
        description: one line for a model's metadata.
        module: computes ``outputs`` from ``example``, in order; in eval mode.
        inputs: input names.
        outputs: output names.
        example: example inputs, float32.
    """

    name: str
    role: Role
    steps: tuple[int, ...]
    description: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: tuple[Tensor, ...]


class _Normalise(nn.Module):
    """Pixels in 0 .. 255 to the network's input."""

    shift: Tensor
    scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # Subtract, then multiply: Core ML would fuse x*a+b into a batch norm, whose epsilon costs 9e-5.
        self.register_buffer("shift", 255 * torch.tensor(config.mean).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(config.std).view(1, 3, 1, 1)))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.shift) * self.scale


class _Glance(nn.Module):
    def __init__(self, model: GFNet) -> None:
        super().__init__()
        self.normalise, self.model = _Normalise(model.config), model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, state = self.model.glance(self.normalise(image))
        return logits, state.feature_map, state.memory


class _Policy(nn.Module):
    def __init__(self, model: GFNet) -> None:
        super().__init__()
        self.policy = model.policy

    def forward(self, feature_map: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self.policy(feature_map, hidden)


class _Focus(nn.Module):
    def __init__(self, model: GFNet) -> None:
        super().__init__()
        self.normalise, self.model = _Normalise(model.config), model

    def forward(self, patch: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Of the state a focus step reads the classifier's memory only; the rest is the policy's.
        state = State(feature_map=patch, feature=patch, memory=memory, hidden=patch)
        logits, state = self.model.focus(self.normalise(patch), state)
        return logits, state.feature_map, state.memory


class _LastFocus(_Focus):
    def forward(self, patch: Tensor, memory: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(patch, memory)[0]


class _Baseline(nn.Module):
    def __init__(self, encoder: Encoder, config: ModelConfig) -> None:
        super().__init__()
        self.normalise, self.encoder = _Normalise(config), encoder

    def forward(self, image: Tensor) -> Tensor:
        return self.encoder.classify(self.encoder(self.normalise(image))[1])


def components_of(model: GFNet) -> tuple[Component, ...]:
    """The subgraphs of a network: glance, policy, and its focus steps.

    A recurrent classifier's focus step is the same at every step and is exported once; a cascade's
    memory grows, so each step has a graph of its own.
    """
    model.eval()
    config = model.config
    pixels = torch.zeros(1, 3, config.patch_size, config.patch_size)
    with torch.no_grad():
        _, state = model.glance(pixels)
    parts = [
        Component(
            name="glance",
            role="glance",
            steps=(1,),
            description="Step 1: classifies the whole image, shrunk to patch size.",
            module=_Glance(model).eval(),
            inputs=(names.IMAGE,),
            outputs=(names.LOGITS, names.FEATURE_MAP, names.NEW_MEMORY),
            example=(pixels,),
        )
    ]
    if config.steps == 1:
        return tuple(parts)
    focus_steps = tuple(range(2, config.steps + 1))
    parts.append(
        Component(
            name="policy",
            role="policy",
            steps=focus_steps,
            description="Proposes where to look next: action times (image size - patch size), floored.",
            module=_Policy(model).eval(),
            inputs=(names.FEATURE_MAP, names.HIDDEN),
            outputs=(names.ACTION, names.NEW_HIDDEN),
            example=(state.feature_map, state.hidden),
        )
    )
    if isinstance(model.classifier, CascadeClassifier):
        for step in focus_steps:
            memory = state.feature.repeat(1, step - 1)  # [1,(step-1)*D]
            parts.append(_focus(model, f"focus_{step}", (step,), (pixels, memory), last=step == config.steps))
    else:
        parts.append(_focus(model, "focus", focus_steps, (pixels, state.memory), last=False))
    return tuple(parts)


def baseline_component(encoder: Encoder, config: ModelConfig) -> Component:
    """The same backbone run once on the full-resolution image: what the network must beat."""
    return Component(
        name="baseline",
        role="baseline",
        steps=(),
        description=f"{config.arch} on the full image of {config.image_size} pixels.",
        module=_Baseline(encoder, config).eval(),
        inputs=(names.IMAGE,),
        outputs=(names.LOGITS,),
        example=(torch.zeros(1, 3, config.image_size, config.image_size),),
    )


def _focus(model: GFNet, name: str, steps: tuple[int, ...], example: tuple[Tensor, ...], *, last: bool) -> Component:
    outputs: tuple[str, ...] = (names.LOGITS, names.FEATURE_MAP, names.NEW_MEMORY)
    return Component(
        name=name,
        role="focus",
        steps=steps,
        description="A later step: classifies one patch at full resolution, with the memory of those before.",
        module=(_LastFocus(model) if last else _Focus(model)).eval(),
        inputs=(names.PATCH, names.MEMORY),
        outputs=outputs[:1] if last else outputs,
        example=example,
    )
