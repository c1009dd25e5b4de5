"""Ten iterations of stages 1, 2 and 3 on one rank of however many ``torchrun`` started.

Run as ``torchrun --nproc-per-node N tests/rank_worker.py OUT``: the first rank writes the weights after each
stage, the others what they have if it differs.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from gfnet.config import model_config
from gfnet.data import FolderSplit
from gfnet.data.batches import Batch, PixelDataset, TrainingBatches
from gfnet.distributed import current_ranks, gather, process_group
from gfnet.network.model import GFNet
from gfnet.training.learner import IterationResult, Learner
from gfnet.training.recipe import PPORecipe, Recipe

CONFIG = model_config("test_resnet", 32, 3, num_classes=10, image_size=64, crop_ratio=1.0, dropout=0.2, drop_path=0.2)
RECIPE = Recipe(batch_size=11, freeze_bn=True, clip_grad_norm=5.0, ppo=PPORecipe(updates=2))
ITERATIONS = 10


class Noise(PixelDataset):
    """Pixels that are a function of the index alone; no files."""

    def __init__(self) -> None:
        super().__init__(FolderSplit(Path("noise"), ("",) * 10, tuple((str(i), i % 10) for i in range(103))), CONFIG)

    def _square(self, index: int) -> np.ndarray:
        side = CONFIG.image_size
        return np.random.default_rng(index).integers(0, 256, (side, side, 3)).astype(np.uint8)


def learn(stage: int, parts: int = 1) -> tuple[GFNet, list[IterationResult]]:
    """The network after ten iterations on this rank's shares, and what each of them gave."""
    torch.manual_seed(0)
    model = GFNet(CONFIG)
    learner = Learner(model, stage, RECIPE)
    batches = TrainingBatches(Noise(), RECIPE.batch_size, current_ranks())
    results = [learner.step(batch.divided(parts), seed=seed) for seed, batch in enumerate(first(batches))]
    return model, results


def first(batches: TrainingBatches) -> Iterator[Batch]:
    yield from (batch for batch, _ in zip(batches.epoch(7), range(ITERATIONS), strict=False))


def main(out: Path) -> None:
    with process_group(timeout_s=60) as ranks:
        for stage in (1, 2, 3):
            model, results = learn(stage)
            state = model.state_dict()
            same = [all(torch.equal(state[k], other[k]) for k in state) for other in gather(state)]
            if ranks.is_first:
                values = [dataclasses.asdict(result) for result in results]
                torch.save({"state": state, "results": values, "same": all(same)}, out / f"stage{stage}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
