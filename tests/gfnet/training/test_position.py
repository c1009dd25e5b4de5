from __future__ import annotations

import json

import pytest
import torch

from gfnet.checkpoint import Checkpoint, TrainingState, load_checkpoint, load_training_state, save_checkpoint
from gfnet.data.batches import Batch
from gfnet.model import GFNet
from gfnet.training.learner import IterationResult, Learner
from gfnet.training.position import Position, pack_learner, unpack_learner
from gfnet.training.recipe import Recipe
from network_support import SMALL


def batch(count: int = 8) -> Batch:
    pixels = torch.randint(0, 256, (count, 96, 96, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return Batch(pixels.permute(0, 3, 1, 2), torch.arange(count), torch.arange(count), count)


def network() -> GFNet:
    torch.manual_seed(0)
    return GFNet(SMALL).to(memory_format=torch.channels_last)


def test_a_position_survives_json_exactly():
    position = Position(2, epoch=1, batch=7, iteration=40, skipped=1, best=1 / 3)
    position.epoch_totals.add(IterationResult(16, 0.1, (3, 4, 5), (0.1, 0.2, 1 / 3), (), (0.7, 0.1), 1.0, True))
    assert Position.from_dict(json.loads(json.dumps(position.to_dict()))) == position
    following = position.next_stage(3)
    assert (following.stage, following.iteration, following.skipped, following.epoch) == (3, 40, 1, 0)


@pytest.mark.parametrize(("stage", "amp"), [(0, "off"), (1, "off"), (2, "off"), (3, "fp16")])
def test_a_learner_goes_on_from_disk_bit_for_bit(tmp_path, stage, amp):
    learner = Learner(network(), stage, Recipe(), amp=amp)
    for seed in range(2):
        learner.step([batch()], seed)
    if amp == "fp16":
        learner.precision.scaler.update(new_scale=1024.0)
    tensors, values = pack_learner(learner)
    save_checkpoint(tmp_path / "last.safetensors", Checkpoint(learner.model), state=TrainingState(tensors, values))
    model = load_checkpoint(tmp_path / "last.safetensors").model.to(memory_format=torch.channels_last)
    resumed = Learner(model, stage, Recipe(), amp=amp)
    unpack_learner(resumed, load_training_state(tmp_path / "last.safetensors"))
    if amp == "fp16":
        assert resumed.precision.scaler.get_scale() == 1024.0
    assert resumed.step([batch()], 2) == learner.step([batch()], 2)
    expected = learner.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
