"""One timm model all the way, in a process of its own, for some bring the interpreter down: built as the encoders of a
network, trained for an iteration, exported to ONNX and verified on two pictures.

Run as ``backbone_worker.py MODEL PATCH_SIZE``: the last line on standard output says how far it came, as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from gfnet.checkpoint import Checkpoint
from gfnet.config import model_config
from gfnet.errors import ConfigError, GFNetError
from gfnet.network.model import GFNet
from gfnet.training.objectives import make_objective, prepare_model
from gfnet.training.recipe import Recipe
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.verify.verification import verify

CLASSES, STEPS, BATCH = 10, 2, 4


def walk(arch: str, patch_size: int) -> tuple[str, str]:
    """A verdict, and its reason where it is not ``works``."""
    torch.manual_seed(0)
    config = model_config(arch, patch_size, STEPS, num_classes=CLASSES, image_size=patch_size + 32)
    try:
        model = GFNet(config)
    except ConfigError as error:
        return "refused", str(error)
    train(model)
    squares = np.random.default_rng(0).integers(0, 256, (2, *2 * (config.image_size,), 3)).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(model.eval())
        try:
            bundle = export_onnx(checkpoint, Path(folder) / "bundle")
        except GFNetError as error:
            return "trains", str(error)
        failures = verify(bundle, checkpoint, squares).failures
    return ("exports", "; ".join(failure.what for failure in failures)) if failures else ("works", "")


def train(model: GFNet) -> None:
    """One iteration of stage 1; the gradients of both encoders have to be numbers, not all of them zero."""
    recipe = Recipe(train_global=True)
    prepare_model(model, 1, recipe)
    side = model.config.image_size
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    images, targets, actions = torch.rand(BATCH, 3, side, side), torch.arange(BATCH), torch.rand(STEPS - 1, BATCH, 2)
    make_objective(model, 1, recipe)(images, targets, actions).loss.backward()
    for encoder in model.encoders:
        gradients = [parameter.grad for parameter in encoder.parameters() if parameter.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)
    optimiser.step()


if __name__ == "__main__":
    print(json.dumps(walk(sys.argv[1], int(sys.argv[2]))))
