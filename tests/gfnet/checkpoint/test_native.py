from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

from checkpoint_support import EVALUATION, assert_same_weights, refusal
from gfnet.checkpoint import Checkpoint, TrainingState, load_checkpoint, load_training_state, save_checkpoint
from gfnet.config import model_config
from gfnet.errors import CheckpointError
from gfnet.network.model import GFNet


@pytest.fixture(scope="module")
def tiny() -> GFNet:
    torch.manual_seed(0)
    return GFNet(model_config("test_resnet", 32, 3, num_classes=3, image_size=96, classifier="recurrent")).eval()


def test_a_saved_checkpoint_comes_back_as_it_was(tiny, tmp_path):
    saved = Checkpoint(tiny, ("ä", "b", "c"), EVALUATION, {"epochs": [1, 2], "seed": 3}, ("policy",))
    save_checkpoint(tmp_path / "model.safetensors", saved)
    found = load_checkpoint(tmp_path / "model.safetensors")
    assert_same_weights(tiny, found.model)
    assert found.model.config == tiny.config
    assert (found.labels, found.evaluation, found.recipe, found.untrained) == (
        saved.labels,
        saved.evaluation,
        saved.recipe,
        saved.untrained,
    )


def test_half_the_bytes_come_back_as_float32_within_float16_s_rounding(tiny, tmp_path):
    save_checkpoint(tmp_path / "whole.safetensors", Checkpoint(tiny))
    save_checkpoint(tmp_path / "half.safetensors", Checkpoint(tiny), half=True)
    whole, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half"))
    assert 0.5 * whole < half < 0.53 * whole
    read = load_checkpoint(tmp_path / "half.safetensors").model.state_dict()
    for name, value in tiny.state_dict().items():
        assert read[name].dtype == value.dtype
        torch.testing.assert_close(read[name], value, rtol=2**-10 if value.ndim > 1 else 0, atol=6e-8, msg=name)


def test_what_is_not_known_stays_unknown(tiny, tmp_path):
    save_checkpoint(tmp_path / "model.safetensors", Checkpoint(tiny))
    found = load_checkpoint(tmp_path / "model.safetensors")
    assert (found.labels, found.evaluation, found.recipe, found.untrained) == (None, None, None, ())


def test_the_layout_is_known_by_the_content_not_by_the_name(tiny, tmp_path):
    save_checkpoint(tmp_path / "model.safetensors", Checkpoint(tiny))
    renamed = (tmp_path / "model.safetensors").rename(tmp_path / "model.pth.tar")
    assert_same_weights(tiny, load_checkpoint(renamed).model)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_truncated_files_are_refused(share, tiny, tmp_path):
    path = tmp_path / "whole.safetensors"
    save_checkpoint(path, Checkpoint(tiny))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in refusal(path)


def test_safetensors_of_others_and_of_other_versions_are_told_apart(tmp_path):
    path = tmp_path / "file.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    assert "not a checkpoint of this project" in refusal(path)
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"gfnet": '{"format_version": 99}'})
    assert "format version 99, but this release reads 1" in refusal(path)
    for damaged in ('{"format_version": 1}', "[]", "{"):
        safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"gfnet": damaged})
        assert "its metadata is damaged" in refusal(path)


def test_safetensors_with_other_weights_than_their_configuration_says_are_refused(tiny, tmp_path):
    path = tmp_path / "file.safetensors"
    save_checkpoint(path, Checkpoint(tiny))
    with safetensors.safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    content = json.loads(metadata["gfnet"])
    del content["digest"]  # or the damage would be noticed first
    metadata["gfnet"] = json.dumps(content)
    save_changed = safetensors.torch.save_file
    save_changed(tensors | {"policy.actor.0.bias": torch.zeros(5)}, path, metadata)
    assert refusal(path) == "policy does not fit the network: wrong shape: actor.0.bias is (5,), not (2,)"
    save_changed(tensors | {"critic.bias": torch.zeros(5)}, path, metadata)
    assert refusal(path) == "unexpected component critic"
    del tensors["classifier.fc.bias"]
    save_changed(tensors, path, metadata)
    assert refusal(path) == "classifier does not fit the network: missing fc.bias"


def test_a_single_flipped_bit_is_noticed(tiny, tmp_path):
    path = tmp_path / "file.safetensors"
    save_checkpoint(path, Checkpoint(tiny))
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    assert "damaged, as its digest differs" in refusal(path)


def test_the_state_of_a_run_travels_with_its_network(tiny, tmp_path):
    path = tmp_path / "last.safetensors"
    state = TrainingState({"optimizer.0.exp_avg": torch.arange(3.0)}, {"position": {"stage": 2}})
    save_checkpoint(path, Checkpoint(tiny), state=state)
    found = load_training_state(path)
    assert torch.equal(found.tensors["optimizer.0.exp_avg"], torch.arange(3.0))
    assert found.values == state.values
    assert_same_weights(load_checkpoint(path).model, tiny)
    save_checkpoint(path, Checkpoint(tiny))
    with pytest.raises(CheckpointError, match="without the state of its training"):
        load_training_state(path)
