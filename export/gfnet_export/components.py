"""The exportable parts of a network: thin modules over its step functions.

Every part takes a batch of one and fixed shapes; images come as pixels in 0 .. 255 and are normalised in
the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from gfnet.config import ModelConfig
from gfnet.network.backbones import Encoder
from gfnet.network.classifier import CascadeClassifier
from gfnet.network.model import GFNet, State
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.manifest import Role, TensorSpec
from gfnet_export.choices import Layout


@dataclass(frozen=True)
class Component:
    """One exportable part.

    Attributes:
        name: file name without suffix.
        role: what it does in the sequence.
        steps: the steps (1 .. T) that run it.
        description: one line for a model's metadata.
        module: computes ``outputs`` from ``inputs``, in order; in eval mode.
        inputs: names, shapes and dtypes.
        outputs: likewise.
        example: example inputs.
    """

    name: str
    role: Role | Literal["baseline"]
    steps: tuple[int, ...]
    description: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example: tuple[Tensor, ...]

    @torch.no_grad()
    def run(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The module's outputs by name."""
        results = self.module(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}


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
        outputs: tuple[Tensor, Tensor] = self.policy(feature_map, hidden)
        return outputs


class _Focus(nn.Module):
    def __init__(self, model: GFNet) -> None:
        super().__init__()
        self.normalise, self.model = _Normalise(model.config), model

    def forward(self, patch: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Of the state a focus step reads the classifier's memory only; the rest is the policy's.
        state = State(feature_map=patch, feature=patch, memory=memory, hidden=patch)
        logits, state = self.model.focus(self.normalise(patch), state)
        return logits, state.feature_map, state.memory


class _Step(nn.Module):
    """Policy, crop and focus in one: the origin never leaves the graph."""

    def __init__(self, model: GFNet) -> None:
        super().__init__()
        self.policy, self.focus = model.policy, _Focus(model)
        self.patch_size = model.config.patch_size
        self.slack = model.config.image_size - model.config.patch_size

    def forward(self, pixels: Tensor, feature_map: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        action, hidden = self.policy(feature_map, hidden)
        origin = torch.floor(action * self.slack).to(torch.int64)
        row, col = cast(int, origin[0, 0].item()), cast(int, origin[0, 1].item())
        for start in (row, col):  # tells the exporter that the slice has a fixed size
            torch._check(start >= 0)
            torch._check(start <= self.slack)
        patch = pixels.narrow(1, row, self.patch_size).narrow(2, col, self.patch_size)
        return action, *self.focus(patch.permute(0, 3, 1, 2).float(), memory), hidden


class _First(nn.Module):
    """A module cut down to its first outputs; the exporters drop what only the others need."""

    def __init__(self, module: nn.Module, count: int) -> None:
        super().__init__()
        self.module, self.count = module, count

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.module(*inputs)
        return outputs[: self.count]


class _Baseline(nn.Module):
    def __init__(self, encoder: Encoder, config: ModelConfig) -> None:
        super().__init__()
        self.normalise, self.encoder = _Normalise(config), encoder

    def forward(self, image: Tensor) -> Tensor:
        return self.encoder.classify(self.encoder(self.normalise(image))[1])


def components_of(model: GFNet, layout: Layout = "split") -> tuple[Component, ...]:
    """The subgraphs of a network: glance, policy, and its focus steps; or glance and steps.

    A recurrent classifier's focus step is the same at every step and is exported once; a cascade's
    memory grows, so each step has a graph of its own, and the last gives only what is still of use.

    Args:
        layout: ``fused``: policy, crop and focus of a step are one component.
    """
    model.eval()
    config = model.config
    image = torch.zeros(1, 3, config.patch_size, config.patch_size)
    with torch.no_grad():
        _, state = model.glance(image)
    after_glance = (names.LOGITS, names.FEATURE_MAP, names.NEW_MEMORY)
    parts = [
        _component(
            "glance",
            "glance",
            (1,),
            "Step 1: classifies the whole image, shrunk to patch size.",
            _Glance(model),
            {names.IMAGE: image},
            after_glance if config.steps > 1 else after_glance[:1],
        )
    ]
    if config.steps == 1:
        return tuple(parts)
    focus_steps = tuple(range(2, config.steps + 1))
    proposed_from = {names.FEATURE_MAP: state.feature_map, names.HIDDEN: state.hidden}
    if layout != "fused":
        parts.append(
            _component(
                "policy",
                "policy",
                focus_steps,
                "Proposes where to look next: action times (image size - patch size), floored.",
                _Policy(model),
                proposed_from,
                (names.ACTION, names.NEW_HIDDEN),
            )
        )
    later: list[tuple[str, tuple[int, ...], Tensor, bool]] = [("", focus_steps, state.memory, False)]
    if isinstance(model.classifier, CascadeClassifier):
        later = [
            (f"_{step}", (step,), state.feature.repeat(1, step - 1), step == config.steps)  # memory: [1,(step-1)*D]
            for step in focus_steps
        ]
    for suffix, steps, memory, last in later:
        if layout == "fused":
            pixels = torch.zeros(1, config.image_size, config.image_size, 3, dtype=torch.uint8)
            outputs = (names.ACTION, names.LOGITS, names.NEW_FEATURE_MAP, names.NEW_MEMORY, names.NEW_HIDDEN)
            parts.append(
                _component(
                    f"step{suffix}",
                    "step",
                    steps,
                    "A later step: proposes a patch, cuts it out of the photo and classifies it, with what was seen.",
                    _Step(model),
                    {names.PIXELS: pixels, **proposed_from, names.MEMORY: memory},
                    outputs[:2] if last else outputs,
                )
            )
        else:
            parts.append(
                _component(
                    f"focus{suffix}",
                    "focus",
                    steps,
                    "A later step: classifies one patch at full resolution, with the memory of those before.",
                    _Focus(model),
                    {names.PATCH: image, names.MEMORY: memory},
                    (names.LOGITS,) if last else (names.LOGITS, names.FEATURE_MAP, names.NEW_MEMORY),
                )
            )
    return tuple(parts)


def baseline_component(encoder: Encoder, config: ModelConfig) -> Component:
    """The same backbone run once on the full-resolution image: what the network must beat."""
    return _component(
        "baseline",
        "baseline",
        (),
        f"{config.arch} on the full image of {config.image_size} pixels.",
        _Baseline(encoder, config),
        {names.IMAGE: torch.zeros(1, 3, config.image_size, config.image_size)},
        (names.LOGITS,),
    )


def _component(
    name: str,
    role: Role | Literal["baseline"],
    steps: tuple[int, ...],
    description: str,
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
) -> Component:
    """Describe a module by running it; of its outputs the first ``len(outputs)`` are kept."""
    module = module.eval()
    with torch.no_grad():
        results = module(*inputs.values())
    results = results if isinstance(results, tuple) else (results,)
    if len(outputs) < len(results):
        module, results = _First(module, len(outputs)).eval(), results[: len(outputs)]
    return Component(
        name=name,
        role=role,
        steps=steps,
        description=description,
        module=module,
        inputs=_specs(inputs.items()),
        outputs=_specs(zip(outputs, results, strict=True)),
        example=tuple(inputs.values()),
    )


def _specs(tensors: Iterable[tuple[str, Tensor]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=name, shape=tuple(tensor.shape), dtype="uint8" if tensor.dtype == torch.uint8 else "float32")
        for name, tensor in tensors
    )
