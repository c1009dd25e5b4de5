from __future__ import annotations

import pytest
import safetensors.torch
import timm
import torch
import yaml

from gfnet.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gfnet.checkpoint.backbone_weights import load_encoder_weights
from gfnet.config import model_config
from gfnet.errors import CheckpointError
from gfnet.network.backbones import create_encoder, family_of
from gfnet.network.model import GFNet
from network_support import gfnet, one_line

ARCH = "test_resnet"


def published(classes=10, arch=ARCH):
    """What a backbone's authors would publish."""
    torch.manual_seed(3)
    return timm.create_model(family_of(arch).timm_names[arch], num_classes=classes).state_dict()


def encoder(classes=10, arch=ARCH):
    torch.manual_seed(0)
    return create_encoder(arch, classes, 64)


def same(found, expected):
    return all(torch.equal(value, expected[key]) for key, value in found.net.state_dict().items())


LAYOUTS = {
    "bare": lambda state: state,
    "under state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "of DataParallel": lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
    "compiled": lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    "compiled, then parallel": lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
    "parallel, then compiled": lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
    "compiled inside of another": lambda state: {f"model._orig_mod.net.{key}": value for key, value in state.items()},
    "one layer compiled": lambda state: {key.replace("conv1.", "conv1._orig_mod."): v for key, v in state.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_weights_are_found_however_they_are_wrapped(tmp_path, layout):
    torch.save(layout(published()), tmp_path / "weights.pth")
    found = encoder()
    assert load_encoder_weights(found, tmp_path / "weights.pth", ARCH) == []
    assert same(found, published())


def test_safetensors_are_read_too(tmp_path):
    safetensors.torch.save_file(published(), tmp_path / "model.safetensors")
    found = encoder()
    load_encoder_weights(found, tmp_path / "model.safetensors", ARCH)
    assert same(found, published())


def test_official_names_are_understood(tmp_path):
    arch = "regnety_600m"
    state = {family_of(arch).official_key(key): value for key, value in published(arch=arch).items()}
    assert "fc.weight" in state  # timm calls it head.fc.weight
    torch.save(state, tmp_path / "weights.pth")
    found = encoder(arch=arch)
    load_encoder_weights(found, tmp_path / "weights.pth", arch)
    assert same(found, published(arch=arch))


def test_a_head_for_other_classes_stays_as_it_is(tmp_path):
    torch.save(published(classes=1000), tmp_path / "weights.pth")
    found, before = encoder(), encoder().net.state_dict()
    assert load_encoder_weights(found, tmp_path / "weights.pth", ARCH) == ["fc.bias", "fc.weight"]
    after, expected = found.net.state_dict(), published(classes=1000)
    for key in after:
        assert torch.equal(after[key], before[key] if key.startswith("fc.") else expected[key])


class Anything:
    """Not a tensor."""


def twice(state):
    return {**state, **{f"_orig_mod.{key}": value for key, value in state.items()}}


BAD = {
    "every name twice": (lambda path: torch.save(twice(published()), path), "two tensors of one name"),
    "numbers of another kind": (
        lambda path: torch.save({key: value.int() for key, value in published().items()}, path),
        "is torch.int32, not torch.float32",
    ),
    "sparse tensors": (
        lambda path: torch.save({key: value.to_sparse() for key, value in published().items() if value.ndim}, path),
        "missing",
    ),
    "missing": (lambda path: None, "no such file"),
    "another backbone": (lambda path: torch.save(published(arch="resnet50"), path), "no weights of test_resnet: "),
    "code": (lambda path: torch.save({"state_dict": Anything()}, path), "holds more than weights"),
    "no state dict": (lambda path: torch.save({"epoch": 3}, path), "no state dict"),
    "no file of torch": (lambda path: path.write_bytes(b"nothing"), "damaged|cannot be read"),
}


@pytest.mark.parametrize(("write", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_no_weights_is_refused(tmp_path, write, message):
    write(tmp_path / "weights.pth")
    found, before = encoder(), encoder().net.state_dict()
    with pytest.raises(CheckpointError, match=message):
        load_encoder_weights(found, tmp_path / "weights.pth", ARCH)
    assert same(found, before)


@pytest.mark.parametrize("steps", [1, 3])
def test_encoders_start_from_a_network_of_this_project(tmp_path, steps):
    torch.manual_seed(5)
    network = GFNet(model_config(ARCH, 64, steps, num_classes=10, glance_head="encoder"))
    save_checkpoint(tmp_path / "network.safetensors", Checkpoint(network))
    found = encoder(), encoder()
    for ours, local in zip(found, (False, True), strict=True):
        assert load_encoder_weights(ours, tmp_path / "network.safetensors", ARCH, local=local) == []
    assert same(found[0], network.global_encoder.net.state_dict())
    # With one step there is but one encoder that was trained.
    assert same(found[1], network.encoders[-1].net.state_dict())
    other = encoder(classes=4)
    assert len(load_encoder_weights(other, tmp_path / "network.safetensors", ARCH)) == 2
    with pytest.raises(CheckpointError, match="no weights of resnet50"):
        load_encoder_weights(encoder(arch="resnet50"), tmp_path / "network.safetensors", "resnet50")


def test_a_damaged_network_of_this_project_is_said_to_be_damaged(tmp_path):
    save_checkpoint(tmp_path / "network.safetensors", Checkpoint(GFNet(model_config(ARCH, 64, 1, num_classes=10))))
    content = bytearray((tmp_path / "network.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "network.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_encoder_weights(encoder(), tmp_path / "network.safetensors", ARCH)


def test_training_starts_from_weights_of_both_encoders_and_skips_stage_0(scenes, tmp_path):
    torch.save(published(), tmp_path / "weights.pth")
    options = ("--data", scenes, "--arch", ARCH, "--patch-size", "40", "--image-size", "96", "--batch-size", "16")
    init = ("--init-global", tmp_path / "weights.pth", "--init-local", tmp_path / "weights.pth")
    planned = gfnet("train", *options, *init, "--out", tmp_path / "run", "--dry-run")
    assert yaml.safe_load(planned.stdout)["recipe"]["epochs"][0] == 0
    result = gfnet("train", *options, *init, "--out", tmp_path / "run", "--stage", "0")
    assert result.exit_code == 0, result.output
    model = load_checkpoint(tmp_path / "run" / "stage0.safetensors").model
    assert same(model.global_encoder, published())
    assert same(model.local_encoder, published())
    again = gfnet("train", *options, "--init-local", tmp_path / "nowhere", "--out", tmp_path / "other")
    assert "nowhere: no such file" in one_line(again)
