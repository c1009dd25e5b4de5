"""Adaptive inference with torch: images in, traces out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gfnet.adaptive import classify
from gfnet.images import Preprocessing, load_image
from gfnet.model import GFNet, State
from gfnet.patches import crop_patches
from gfnet.traces import Trace


@dataclass(frozen=True)
class _BatchState:
    """The network's state, and the images that later patches are cut from."""

    images: Tensor
    network: State


class TorchRunner:
    """A :class:`gfnet.adaptive.StepRunner` over a torch network."""

    def __init__(self, model: GFNet) -> None:
        self.model = model.eval()
        self.steps = model.config.steps
        self.image_size = model.config.image_size
        self.patch_size = model.config.patch_size

    @torch.no_grad()
    def glance(self, pixels: np.ndarray) -> tuple[np.ndarray, _BatchState]:
        batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.model.device)
        images = self.model.normalise(batch.permute(0, 3, 1, 2))
        logits, state = self.model.glance(self.model.shrink(images))
        return logits.cpu().numpy(), _BatchState(images, state)

    @torch.no_grad()
    def propose(self, state: _BatchState) -> tuple[np.ndarray, _BatchState]:
        action, network = self.model.propose(state.network)
        return action.cpu().numpy(), _BatchState(state.images, network)

    @torch.no_grad()
    def focus(self, origins: np.ndarray, state: _BatchState, step: int) -> tuple[np.ndarray, _BatchState]:
        patches = crop_patches(state.images, torch.from_numpy(origins), self.patch_size)
        logits, network = self.model.focus(patches, state.network)
        return logits.cpu().numpy(), _BatchState(state.images, network)

    def select(self, state: _BatchState, keep: np.ndarray) -> _BatchState:
        index = torch.from_numpy(np.flatnonzero(keep)).to(state.images.device)
        return _BatchState(state.images[index], state.network.select(index))


class Predictor:
    """Classifies images of any size and mode.

    Args:
        model: a trained network.
        batch_size: images that are run together.
    """

    def __init__(self, model: GFNet, *, batch_size: int = 64) -> None:
        self.runner = TorchRunner(model)
        self.preprocessing = Preprocessing.of(model.config)
        self.batch_size = batch_size

    def __call__(self, images: Iterable[Any], thresholds: Sequence[float] | None = None) -> list[Trace]:
        """Classify images.

        Args:
            images: paths, PIL images, arrays or tensors, as :func:`gfnet.images.load_image` takes them.
            thresholds: T exit thresholds; ``None`` runs all steps.

        Returns:
            One trace for each image, in order.

        Raises:
            ImageError: an image cannot be read.
        """
        traces: list[Trace] = []
        names: list[str] = []
        pixels: list[np.ndarray] = []
        for index, image in enumerate(images):
            name = str(image) if isinstance(image, str) or hasattr(image, "__fspath__") else f"image {index}"
            pixels.append(self.preprocessing(load_image(image, name)))
            names.append(name)
            if len(pixels) == self.batch_size:
                traces += classify(self.runner, np.stack(pixels), thresholds, names)
                names, pixels = [], []
        if pixels:
            traces += classify(self.runner, np.stack(pixels), thresholds, names)
        return traces
