"""From a command's options to a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gfnet.checkpoint import Checkpoint, load_checkpoint
from gfnet.config import model_config
from gfnet.data import open_splits
from gfnet.errors import ConfigError, TrainingError
from gfnet.files import write_json
from gfnet.model import GFNet, default_device
from gfnet.training.recipe import STAGES, PPORecipe, recipe_for
from gfnet.training.trainer import Trainer


def launch(
    data: Path,
    out: Path,
    *,
    arch: str,
    patch_size: int,
    steps: int,
    image_size: int | None = None,
    crop_ratio: float | None = None,
    stage: str = "all",
    init: Path | None = None,
    epochs: str | None = None,
    batch_size: int | None = None,
    initial_lr: float | None = None,
    encoder_lr: float | None = None,
    classifier_lr: str | None = None,
    policy_lr: float | None = None,
    augmentation: str | None = None,
    workers: int = 0,
    seed: int = 0,
) -> Checkpoint:
    """Train as the options say; what they leave out is the family's published recipe.

    Args:
        stage: ``all``, or one of 0 to 3; a later stage starts from ``init`` or the run's previous one.
        epochs: four comma-separated numbers.
        classifier_lr: two comma-separated numbers, for stages 1 and 3.

    Returns:
        The finished network, which is also in ``out/model.safetensors``.

    Raises:
        GFNetError: the options, the data or the starting checkpoint cannot be used.
    """
    train, val = open_splits(data)
    config = model_config(
        arch,
        patch_size,
        steps,
        num_classes=len(train.classes),
        image_size=image_size,
        crop_ratio=crop_ratio,
    )
    recipe = recipe_for(
        config,
        epochs=_numbers("epochs", epochs, 4, int),
        batch_size=batch_size,
        initial_lr=initial_lr,
        encoder_lr=encoder_lr,
        classifier_lr=_numbers("classifier_lr", classifier_lr, 2, float),
        ppo=None if policy_lr is None else PPORecipe(lr=policy_lr),
        augmentation=augmentation,
        seed=seed,
    )
    torch.manual_seed(seed)
    stages = STAGES if stage == "all" else (int(stage),)
    start = init or (out / f"stage{stages[0] - 1}.safetensors" if stages[0] > 0 else None)
    if start is None:
        model = GFNet(config)
    elif start.is_file():
        model = load_checkpoint(start).model
    else:
        raise TrainingError(
            f"{start}: no such file; stage {stages[0]} starts from it: train stage {stages[0] - 1} first or pass --init"
        )
    model.to(default_device())
    write_json(out / "config.json", {"model": model.config.to_dict(), "recipe": recipe.to_dict()})
    return Trainer(model, recipe, train, val, out, workers=workers).run(stages)


def _numbers(name: str, text: str | None, count: int, kind: type) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise ConfigError(f"--{name.replace('_', '-')} {text!r}: give {count} comma-separated numbers")
    return values
