from __future__ import annotations

import json
import shutil

import pytest
import torch

from gfnet.checkpoint import load_checkpoint
from network_support import gfnet, one_line

OPTIONS = (
    *("--arch", "test_resnet", "--patch-size", "40", "--image-size", "96", "--crop-ratio", "1"),
    *("--batch-size", "16", "--augmentation", "flip", "--initial-lr", "0.05"),
)


@pytest.fixture(scope="module")
def run(scenes, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    result = gfnet("train", "--data", scenes, "--out", out, *OPTIONS, "--epochs", "2,1,1,1")
    assert result.exit_code == 0, result.output
    return out


def weights(path):
    return load_checkpoint(path).model.state_dict()


def changed(before, after):
    """Component names in which any weight differs."""
    return {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}


def test_each_stage_trains_what_the_papers_say(run):
    stages = [weights(run / f"stage{stage}.safetensors") for stage in range(4)]
    # The family of a backbone that was never published trains its global encoder too.
    assert changed(stages[0], stages[1]) == {"global_encoder", "local_encoder", "classifier"}
    assert changed(stages[1], stages[2]) == {"policy"}
    assert changed(stages[2], stages[3]) == {"global_encoder", "local_encoder", "classifier"}


def test_the_result_carries_what_evaluation_needs(run, scenes):
    checkpoint = load_checkpoint(run / "model.safetensors")
    assert checkpoint.labels is not None
    assert checkpoint.evaluation is not None
    assert checkpoint.evaluation.images == 40
    assert len(checkpoint.evaluation.budgeted) == 39
    assert checkpoint.recipe is not None
    assert checkpoint.recipe["epochs"] == [2, 1, 1, 1]
    assert gfnet("evaluate", run / "model.safetensors", "--data", scenes).exit_code == 0


def test_metrics_tell_every_epoch(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["epoch"]) for line in lines] == [(0, 1), (0, 2), (1, 1), (2, 1), (3, 1)]
    assert all(line["images"] == 60 for line in lines)
    assert len(lines[3]["rewards"]) == 2


def test_a_seed_repeats_a_run_bit_for_bit(run, scenes, tmp_path):
    result = gfnet("train", "--data", scenes, "--out", tmp_path / "run", *OPTIONS, "--epochs", "2,1,1,1")
    assert result.exit_code == 0
    assert not changed(weights(run / "model.safetensors"), weights(tmp_path / "run" / "model.safetensors"))


def test_a_stage_starts_from_the_one_before(run, scenes, tmp_path):
    result = gfnet(
        *("train", "--data", scenes, "--out", tmp_path / "run", *OPTIONS, "--epochs", "0,0,1,0"),
        *("--stage", "2", "--init", run / "stage1.safetensors"),
    )
    assert result.exit_code == 0
    before, after = weights(run / "stage1.safetensors"), weights(tmp_path / "run" / "stage2.safetensors")
    assert changed(before, after) == {"policy"}


def test_a_loss_that_is_no_number_stops_with_the_rate_named(scenes, tmp_path):
    result = gfnet(
        *("train", "--data", scenes, "--out", tmp_path / "run", *OPTIONS, "--epochs", "3,0,0,0"),
        *("--stage", "0", "--initial-lr", "1e12"),
    )
    assert "learning rate" in one_line(result)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_backbone_of_fixed_size_cannot_learn_from_full_images(scenes, tmp_path):
    result = gfnet(
        *("train", "--data", scenes, "--out", tmp_path / "run", "--arch", "test_vit3", "--patch-size", "32"),
        *("--image-size", "96", "--stage", "0", "--epochs", "1,0,0,0"),
    )
    assert "takes inputs of 32 pixels only" in one_line(result)


def test_other_classes_than_the_data_s_are_refused(run, scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    for split in ("train", "val"):
        shutil.rmtree(copy / split / "star")
    result = gfnet(
        *("train", "--data", copy, "--out", tmp_path / "run", *OPTIONS),
        *("--stage", "2", "--init", run / "stage1.safetensors"),
    )
    assert "9 classes, but the network has 10" in one_line(result)


def test_images_that_cannot_be_read_are_named_and_training_goes_on(scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    broken = [next((copy / split / "star").iterdir()) for split in ("train", "val")]
    for path in broken:
        path.write_bytes(b"no image")
    result = gfnet("train", "--data", copy, "--out", tmp_path / "run", *OPTIONS, "--epochs", "1,0,0,0")
    assert result.exit_code == 0
    for path in broken:
        assert f"skipped {path}" in result.stderr
