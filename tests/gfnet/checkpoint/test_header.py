"""Checkpoints whose header was damaged, or lies: one clear refusal, in little time and memory, or what was written."""

from __future__ import annotations

import contextlib
import json
import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from checkpoint_support import EVALUATION, Altered, altered, assert_same_weights, refusal
from gfnet.checkpoint import Checkpoint, TrainingState, load_checkpoint, save_checkpoint
from gfnet.config import model_config
from gfnet.errors import CheckpointError, GFNetError
from gfnet.network.model import GFNet
from manifest_support import structure
from network_support import gfnet, one_line

LABELS = ("a", "b\x1b[31m\n", "\u202e\udce9")  # of a folder's name in another encoding than UTF-8
MOST_MEMORY_KB = 400_000
THOROUGH = pytest.param(20_000, marks=pytest.mark.nightly)


@pytest.fixture(scope="module")
def saved() -> Checkpoint:
    torch.manual_seed(0)
    config = model_config(
        *("test_resnet", 32, 3),
        **{"num_classes": 3, "image_size": 96, "classifier": "recurrent", "classifier_hidden": 8, "policy_hidden": 8},
    )
    return Checkpoint(GFNet(config).eval(), LABELS, EVALUATION, {"epochs": [1, 2], "names": {"a": None}}, ("policy",))


@pytest.fixture(scope="module")
def whole(saved, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "whole.safetensors"
    save_checkpoint(path, saved, state=TrainingState({"optimizer.0.exp_avg": torch.zeros(3)}, {"finished": True}))
    return path


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "file.safetensors"


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY_KB


def same(found: Checkpoint, expected: Checkpoint) -> bool:
    def facts(checkpoint: Checkpoint) -> Any:
        return checkpoint.labels, checkpoint.evaluation, checkpoint.recipe, checkpoint.untrained

    assert_same_weights(found.model, expected.model)
    return found.model.config == expected.model.config and facts(found) == facts(expected)


def test_labels_of_any_text_come_back(saved, whole):
    assert same(load_checkpoint(whole), saved)


@pytest.mark.parametrize("count", [150, THOROUGH], ids=["quick", "thorough"])
def test_no_flipped_bit_is_believed(whole, path, count):
    content, choice = whole.read_bytes(), random.Random(count)
    header = 8 + int.from_bytes(content[:8], "little")
    with little_memory():
        for index in range(count):
            flipped = bytearray(content)
            flipped[choice.randrange(header if index % 4 else len(content))] ^= 1 << choice.randrange(8)
            path.write_bytes(flipped)
            refusal(path)


@pytest.mark.parametrize("count", [100, THOROUGH], ids=["quick", "thorough"])
def test_a_file_of_an_older_release_gives_a_clean_error_or_a_sound_network(saved, whole, path, count):
    content, choice = Altered(whole.read_bytes()).old(), random.Random(count)
    header = 8 + int.from_bytes(content[:8], "little")
    path.write_bytes(content)
    assert same(load_checkpoint(path), saved)
    with little_memory():
        for _ in range(count):
            flipped = bytearray(content)
            flipped[choice.randrange(header)] ^= 1 << choice.randrange(8)
            path.write_bytes(flipped)
            with contextlib.suppress(CheckpointError):
                assert_same_weights(load_checkpoint(path).model, saved.model)


@pytest.mark.parametrize("count", [100, THOROUGH], ids=["quick", "thorough"])
def test_no_change_of_structure_does_worse_than_a_clean_error(whole, path, count):
    parts, choice = Altered(whole.read_bytes()), random.Random(count)
    refused = 0
    with little_memory():
        for _ in range(count):
            text = structure(parts.content, choice).decode()
            path.write_bytes(parts.sealed(text) if text.startswith("{") else parts.joined(text))
            with contextlib.suppress(CheckpointError):
                found = load_checkpoint(path)
                json.dumps([found.labels, found.recipe], allow_nan=False)
                continue
            assert len(refusal(path)) < 2000
            refused += 1
    assert refused > count // 4


def setting(**changes: Any) -> Callable[[Altered], None]:
    return lambda parts: parts.content.update(changes)


def config(**changes: Any) -> Callable[[Altered], None]:
    return lambda parts: parts.content["config"].update(changes)


def results(**changes: Any) -> Callable[[Altered], None]:
    return lambda parts: parts.content["evaluation"].update(changes)


def first_weight(dtype: str) -> Callable[[Altered], None]:
    def change(parts: Altered) -> None:
        key = next(
            key for key, told in parts.header.items() if told["dtype"] == "F32" and key.endswith("conv1.0.weight")
        )
        parts.header[key]["dtype"] = dtype

    return change


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


LIES: dict[str, tuple[Callable[[Altered], Any], str]] = {
    "a million steps": (config(steps=10**6), "steps is 1000000; use a whole number from 1 to 64"),
    "more steps": (config(steps=64), "evaluation is of 3 steps, but the network has 64"),
    "as many classes as people": (config(num_classes=10**10), "num_classes is 10000000000; use"),
    "a patch of kilometres": (config(patch_size=10**6, image_size=10**6), "patch_size is 1000000; use"),
    "another patch": (config(patch_size=96), "policy does not fit the network: wrong shape"),
    "a wide memory": (config(policy_hidden=16_384, classifier_hidden=16_384), "classifier does not fit the network"),
    "a wider memory": (config(policy_hidden=10**9), "policy_hidden is 1000000000; use"),
    "a giant": (config(arch="vit_giant_patch14_dinov2"), "global_encoder does not fit the network: missing"),
    "a backbone from elsewhere": (config(arch="hf-hub:someone/something"), "neither an official backbone nor a timm"),
    "a setting that the backbone lacks": (config(arch="vgg11", drop_path=0.1), "cannot see patches of 32 pixels"),
    "no architecture": (config(arch=None), "config.arch: Input should be a valid string"),
    "text for a number": (config(steps="3"), "config.steps: Input should be a valid integer"),
    "truth for a number": (config(steps=True), "config.steps: Input should be a valid integer"),
    "unknown setting": (config(colour=1), "config.colour: "),
    "no config": (setting(config=None), "config: Input should be"),
    "labels are a number": (setting(labels=5), "labels are not texts"),
    "labels are numbers": (setting(labels=[1, 2, 3]), "labels are not texts"),
    "two labels": (setting(labels=["a", "b"]), "2 labels for 3 classes"),
    "a long label": (setting(labels=["a", "b", "x" * 1001]), "labels are not texts of at most 1000"),
    "many labels": (setting(labels=[""] * 900_000), "900000 labels for 3 classes"),
    "too many values": (setting(recipe={"x": [[]] * 600_000}), "larger than that of any network"),
    "too many letters": (setting(recipe={"x": "x" * 17_000_000}), "larger than that of any network"),
    "recipe is a list": (setting(recipe=[1]), "recipe has no names"),
    "state is a text": (setting(training="x"), "training has no names"),
    "infinitely many images": (results(images=float("inf")), "Infinity is not finite"),
    "images of many digits": (results(images=10**400), "images is 1000"),
    "images below none": (results(images=-1), "images is -1, which is not possible"),
    "accuracy above all": (results(anytime_top1=[1, 2, 101]), "anytime_top1 is 101.0, which"),
    "results of another length": (results(anytime_top1=[1, 2]), "anytime_top1 has 2 values for 3 steps"),
    "results of another network": (
        results(macs=[1, 2], anytime_top1=[1, 2], budgeted=[]),
        "evaluation is of 2 steps, but the network has 3",
    ),
    "thresholds of another network": (
        lambda parts: parts.content["evaluation"]["budgeted"][0].update(thresholds=[1], exit_distribution=[]),
        "a budget must have 3 thresholds",
    ),
    "a threshold that is text": (
        lambda parts: parts.content["evaluation"]["budgeted"][0].update(thresholds=["1", 2, 3]),
        "evaluation.budgeted.0.thresholds.0: Input should be a valid number",
    ),
    "an unknown fact": (setting(colour=1), "colour: Extra inputs"),
    "nothing untrained": (setting(untrained=None), "untrained: Input should be"),
    "another part untrained": (setting(untrained=["tail"]), "untrained.0: Input should be"),
    "another version": (setting(format_version=2), "format version 2, but this release reads 1"),
    "a version that is text": (setting(format_version="1"), "format version '1', but this release reads 1"),
    "deep": (setting(recipe={"x": nested(40)}), "nested too deeply"),
    "deeper": (setting(recipe={"x": nested(900)}), "nested too deeply"),
    "weights of another type": (
        first_weight("I32"),
        "wrong type: net.conv1.0.weight is torch.int32, not torch.float32",
    ),
    "a weight that is called another": (
        lambda parts: parts.header.update(critic=parts.header.pop("policy.critic.0.bias")),
        "policy does not fit the network: missing critic.0.bias",
    ),
}


@pytest.mark.parametrize(("change", "message"), LIES.values(), ids=LIES.keys())
def test_what_cannot_be_is_refused_before_a_network_is_built(whole, path, change, message):
    parts = altered(whole, change)
    for content in (parts.sealed(), parts.old()):  # neither is refused for its digest
        path.write_bytes(content)
        with little_memory():
            assert message in refusal(path)


@pytest.mark.parametrize(
    "text", ["[" * 100_000 + "]" * 100_000, "", "null", '{"a": NaN}', "\\", '{"format_version": 1}']
)
def test_what_is_no_header_is_refused(whole, path, text):
    path.write_bytes(Altered(whole.read_bytes()).joined(text))
    assert "its metadata is damaged" in refusal(path)


def test_a_weight_of_16_bits_is_not_taken_for_one_of_another_kind(saved, path):
    save_checkpoint(path, saved, half=True)
    parts = Altered(path.read_bytes())
    key = next(key for key, told in parts.header.items() if told["dtype"] == "F16")
    parts.header[key]["dtype"] = "BF16"
    path.write_bytes(parts.old())
    assert "is torch.bfloat16, not torch.float32" in refusal(path)


COMMANDS: dict[str, Callable[[Path, Path, Path], tuple[Any, ...]]] = {
    "info": lambda path, data, out: (path,),
    "evaluate": lambda path, data, out: (path, "--data", data),
    "calibrate": lambda path, data, out: (path, out, "--data", data),
    "convert": lambda path, data, out: (path, out),
    "export": lambda path, data, out: ("onnx", path, "--out", out),
    "train": lambda path, data, out: ("--stage", "1", "--data", data, "--init", path, "--out", out),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_so_in_one_line(whole, path, scenes, tmp_path, command):
    path.write_bytes(altered(whole, config(steps=10**6)).sealed())
    out = tmp_path / "out.safetensors"
    assert "steps is 1000000; use" in one_line(gfnet(command, *COMMANDS[command](path, scenes, out)))
    assert not out.exists()


def test_what_no_reader_would_take_is_not_written(saved, path):
    for wrong in ({"rate": float("nan")}, {"rate": nested(40)}, {"rate": {1, 2}}):
        with pytest.raises(CheckpointError, match=r"file\.safetensors: "):
            save_checkpoint(path, Checkpoint(saved.model, recipe=wrong))
    with pytest.raises(GFNetError, match="2 labels for 3 classes"):
        save_checkpoint(path, Checkpoint(saved.model, ("a", "b")))
    assert not path.exists()


def test_equal_networks_are_equal_files(saved, whole, path):
    save_checkpoint(path, saved, state=TrainingState({"optimizer.0.exp_avg": torch.zeros(3)}, {"finished": True}))
    assert path.read_bytes() == whole.read_bytes()
