from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from gfnet.checkpoint import Checkpoint, TrainingState, load_checkpoint, load_training_state, save_checkpoint
from gfnet.data.batches import Batch
from gfnet.errors import CheckpointError
from gfnet.network.model import GFNet
from gfnet.training.learner import IterationResult, Learner
from gfnet.training.position import Position, load_state, pack_learner, unpack_learner
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


STATE: dict[str, Any] = {
    "position": Position(1, epoch=2).to_dict(),
    "metrics_bytes": 100,
    "images": 60,
    "labels_sha256": "0" * 64,
    "finished": False,
}


def test_the_state_of_a_run_is_read_as_it_is_written(tmp_path):
    learner = Learner(network(), 1, Recipe(), amp="off")
    tensors, values = pack_learner(learner)
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, Checkpoint(learner.model), state=TrainingState(tensors, {**values, **STATE}))
    assert Position.from_dict(load_state(path).values["position"]) == Position(1, epoch=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": None}, "position: Input should be an object"),
        ({"position": {"stage": 2}}, "position.epoch: Field required"),
        ({"position": {**STATE["position"], "stage": 5}}, "position.stage: Input should be less than or equal to 4"),
        ({"position": {**STATE["position"], "batch": -1}}, "position.batch: Input should be greater"),
        (
            {"position": {**STATE["position"], "line_totals": {"loss": "x"}}},
            "position.line_totals.loss: Input should be",
        ),
        ({"metrics_bytes": 1.5}, "metrics_bytes: Input should be a valid integer"),
        ({"finished": 1}, "finished: Input should be a valid boolean"),
        ({"colour": 1}, "colour: Extra inputs"),
    ],
)
def test_a_state_that_cannot_be_is_refused(tmp_path, change, message):
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, Checkpoint(network()), state=TrainingState({}, {**STATE, **change}))
    with pytest.raises(CheckpointError, match=f"the state of its training is damaged \\({message}"):
        load_state(path)


@pytest.mark.parametrize(
    ("tensors", "change"),
    [
        ({"optimizer.9999.exp_avg": torch.zeros(1)}, {}),
        ({"optimizer.x": torch.zeros(1)}, {}),
        ({"optimizer.0.momentum_buffer": torch.zeros(1).expand(10**12)}, {}),
        ({}, {"state": {"x": {}}}),
        ({}, {"param_groups": []}),
        ({}, {"param_groups": "x"}),
        ({}, {"lr": "0.1"}),
        ({}, {"lr": None}),
    ],
)
def test_the_state_of_another_optimiser_is_refused(tensors, change):
    learner = Learner(network(), 1, Recipe(), amp="off")
    _, values = pack_learner(learner)
    optimizer = values["optimizer"]
    optimizer |= {name: value for name, value in change.items() if name != "lr"}
    if "lr" in change:
        optimizer["param_groups"] = [{**group, **change} for group in optimizer["param_groups"]]
    with pytest.raises(CheckpointError, match="the state of the training does not fit its network"):
        unpack_learner(learner, TrainingState(tensors, values))
