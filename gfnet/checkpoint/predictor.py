"""Adaptive inference with torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gfnet.checkpoint import Checkpoint
from gfnet.inference.images import Preprocessing
from gfnet.inference.predictor import Predictor
from gfnet.network.model import GFNet, State
from gfnet.network.patches import crop_patches


@dataclass(frozen=True)
class _BatchState:
    """The network's state, and the images that later patches are cut from."""

    images: Tensor
    network: State


class TorchRunner:
    """A :class:`gfnet.inference.adaptive.StepRunner` over a torch network."""

    def __init__(self, model: GFNet) -> None:
        self.model = model.eval()
        self.steps = model.config.steps
        self.image_size = model.config.image_size
        self.patch_size = model.config.patch_size
        self.interpolation = model.config.glance_interpolation

    @torch.no_grad()
    def glance(self, pixels: np.ndarray) -> tuple[np.ndarray, _BatchState]:
        batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.model.device)
        images = batch.permute(0, 3, 1, 2)  # uint8 [B,3,S,S]
        # Normalised after shrinking and cropping, as in the bundles' graphs: fewer pixels, same values.
        logits, state = self.model.glance(self.model.normalise(self.model.shrink(images.float())))
        return logits.cpu().numpy(), _BatchState(images, state)

    @torch.no_grad()
    def propose(self, state: _BatchState) -> tuple[np.ndarray, _BatchState]:
        action, network = self.model.propose(state.network)
        return action.cpu().numpy(), _BatchState(state.images, network)

    @torch.no_grad()
    def focus(self, origins: np.ndarray, state: _BatchState, step: int) -> tuple[np.ndarray, _BatchState]:
        patches = crop_patches(state.images, torch.from_numpy(origins), self.patch_size)
        logits, network = self.model.focus(self.model.normalise(patches), state.network)
        return logits.cpu().numpy(), _BatchState(state.images, network)

    def select(self, state: _BatchState, keep: np.ndarray) -> _BatchState:
        index = torch.from_numpy(np.flatnonzero(keep)).to(state.images.device)
        return _BatchState(state.images[index], state.network.select(index))


def torch_predictor(checkpoint: Checkpoint, *, batch_size: int = 64) -> Predictor:
    """A predictor that runs a checkpoint with torch, on the device that its model is on.

    Args:
        batch_size: images that are run together.
    """
    model = checkpoint.model
    return Predictor(
        runner=TorchRunner(model),
        preprocessing=Preprocessing.of(model.config),
        labels=checkpoint.labels,
        points=checkpoint.evaluation.budgeted if checkpoint.evaluation else (),
        batch_size=batch_size,
    )
