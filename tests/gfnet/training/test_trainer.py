from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gfnet.checkpoint import load_checkpoint
from gfnet.network.model import GFNet
from network_support import gfnet, one_line

OPTIONS = (
    *("--arch", "test_resnet", "--patch-size", "40", "--image-size", "96", "--crop-ratio", "1"),
    *("--batch-size", "16", "--augmentation", "flip", "--set", "recipe.initial_lr=0.05"),
)


@pytest.fixture(scope="module")
def run(scenes, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    result = gfnet("train", "--data", scenes, "--out", out, *OPTIONS, "--epochs", "2,1,1,1")
    assert result.exit_code == 0, result.output
    return out


def train(scenes, folder, *options):
    return gfnet("train", "--data", scenes, "--out", folder / "run", *OPTIONS, *options)


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
    assert checkpoint.recipe["recipe"]["epochs"] == [2, 1, 1, 1]
    assert gfnet("evaluate", run / "model.safetensors", "--data", scenes).exit_code == 0


def metrics(run, event):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_metrics_tell_every_epoch(run):
    lines = metrics(run, "training")
    assert [(line["stage"], line["epoch"]) for line in lines] == [(0, 1), (0, 2), (1, 1), (2, 1), (3, 1)]
    assert [line["iteration"] for line in lines] == [4, 8, 12, 16, 20]
    assert all(line["images"] == 60 for line in lines)
    assert all(line["images_per_second"] > 0 and line["memory_mb"] > 100 for line in lines)
    assert [len(line["top1"]) for line in lines] == [2, 2, 3, 3, 3]
    assert len(lines[2]["classifier_losses"]) == len(lines[2]["encoder_losses"]) == 3
    assert lines[2]["learning_rates"] == [0.01, 0.01, 0.1]
    assert len(lines[3]["rewards"]) == 2


def test_every_epoch_is_validated_and_the_best_one_kept(run):
    lines = metrics(run, "validation")
    assert [line["stage"] for line in lines] == [0, 0, 1, 2, 3]
    assert [len(line["top1"]) for line in lines] == [2, 2, 3, 3, 3]
    best, last = weights(run / "best.safetensors"), weights(run / "stage3.safetensors")
    assert not changed(best, last)  # of one epoch


def test_a_run_leaves_its_configuration_curves_and_events(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["num_classes"] == 10
    assert config["recipe"]["ppo"]["discount"] == 0.7
    # A network that travels says how it was trained, not where.
    told = {k: v for k, v in config.items() if k != "model"} | {"data": Path(config["data"]).name}
    assert Path(config["data"]).is_absolute()
    assert load_checkpoint(run / "model.safetensors").recipe == told
    with Image.open(run / "curves.png") as picture:
        assert picture.width > 500
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("training/loss")] == [4, 8, 12, 16, 20]


def test_tensorboard_and_matplotlib_are_not_needed(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr("gfnet.training.run_log.find_spec", lambda _name: None)
    monkeypatch.setattr("gfnet.training.run_folder.find_spec", lambda _name: None)
    assert train(scenes, tmp_path, "--epochs", "1,0,0,0").exit_code == 0
    assert not (tmp_path / "run" / "curves.png").exists()
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_seed_repeats_a_run_bit_for_bit(run, scenes, tmp_path):
    assert train(scenes, tmp_path, "--epochs", "2,1,1,1").exit_code == 0
    assert not changed(weights(run / "model.safetensors"), weights(tmp_path / "run" / "model.safetensors"))


def test_a_stage_starts_from_the_one_before(run, scenes, tmp_path):
    result = train(scenes, tmp_path, *("--epochs", "0,0,1,0", "--stage", "2", "--init", run / "stage1.safetensors"))
    assert result.exit_code == 0
    before, after = weights(run / "stage1.safetensors"), weights(tmp_path / "run" / "stage2.safetensors")
    assert changed(before, after) == {"policy"}


def test_a_loss_that_is_no_number_stops_with_the_rate_named(scenes, tmp_path):
    result = train(scenes, tmp_path, *("--epochs", "3,0,0,0", "--stage", "0", "--initial-lr", "1e12"))
    message = one_line(result)
    assert re.search(r"stage 0, epoch \d, iteration \d+: the (loss|gradient's norm) became (nan|inf)", message)
    assert "learning rate" in message
    assert "last good state" in message or "nothing was saved" in message
    assert not (tmp_path / "run" / "model.safetensors").exists()


def poisoned(monkeypatch, iterations):
    """Make the loss of some iterations (0 ..) no number."""
    real, count = GFNet.normalise, itertools.count()

    def normalise(self, pixels):
        images = real(self, pixels)
        return images * float("nan") if self.global_encoder.training and next(count) in iterations else images

    monkeypatch.setattr(GFNet, "normalise", normalise)


def test_a_batch_whose_loss_is_no_number_may_be_skipped(scenes, tmp_path, monkeypatch):
    poisoned(monkeypatch, {1, 5})
    options = ("--epochs", "2,0,0,0", "--on-nan", "skip", "--most-skipped", "0.25", "--json", tmp_path / "found.json")
    result = train(scenes, tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert "iteration 2: the loss became nan" in result.stderr
    assert "batch skipped (number 2, 1 of the epoch's 4)" in result.stderr
    assert "stage 0, epoch 2: batches skipped: 1" in result.stdout
    lines = metrics(tmp_path / "run", "training")
    assert [line["images"] for line in lines] == [44, 44]
    assert [(line["skipped"], line["epoch_skipped"]) for line in lines] == [(1, 1), (2, 1)]
    assert json.loads((tmp_path / "found.json").read_text())["skipped"] == [
        {"stage": 0, "epoch": 1, "skipped": 1},
        {"stage": 0, "epoch": 2, "skipped": 1},
    ]
    state = weights(tmp_path / "run" / "model.safetensors")
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


def test_skipping_gives_up_at_more_than_a_share_of_an_epoch_and_a_larger_one_goes_on(scenes, tmp_path, monkeypatch):
    poisoned(monkeypatch, {5, 6, 9, 10})  # two of the second epoch's four, and again when it is repeated
    options = ("--epochs", "2,0,0,0", "--on-nan", "skip", "--most-skipped", "0.4")
    result = train(scenes, tmp_path, *options)
    message = [line for line in result.stderr.splitlines() if "gfnet: " in line][-1]
    assert result.exit_code == 2
    assert "with it 2 of the epoch's 4 batches are skipped, more than the share of 0.4" in message
    assert not (tmp_path / "run" / "model.safetensors").exists()
    result = gfnet(
        "train", "--out", tmp_path / "run", "--resume", "--most-skipped", "0.5", "--json", tmp_path / "a.json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "a.json").read_text())["skipped"] == [{"stage": 0, "epoch": 2, "skipped": 2}]


def test_one_skipped_batch_of_four_is_too_many_by_default(scenes, tmp_path, monkeypatch):
    poisoned(monkeypatch, {0})
    result = train(scenes, tmp_path, "--epochs", "1,0,0,0", "--on-nan", "skip")
    assert result.exit_code == 2
    assert "1 of the epoch's 4 batches are skipped, more than the share of 0.1" in result.stderr
    for share in ("1.5", "-0.1", "nan"):
        assert "use a share from 0 to 1" in one_line(train(scenes, tmp_path, "--most-skipped", share))


def test_a_network_that_validation_finds_broken_ends_training_in_one_line(scenes, tmp_path, monkeypatch):
    real = GFNet.encoder_answers

    def answers(self, images):
        return [logits if self.global_encoder.training else logits / 0 for logits in real(self, images)]

    monkeypatch.setattr(GFNet, "encoder_answers", answers)
    result = train(scenes, tmp_path, "--epochs", "1,0,0,0", "--stage", "0")
    assert result.exit_code == 2
    assert re.search(r"scenes/val: the global encoder gives (NaN|infinite) logits for image 1", result.stderr)


def test_skipping_gives_up_after_as_many_batches_as_are_allowed(scenes, tmp_path, monkeypatch):
    poisoned(monkeypatch, range(5, 8))
    result = train(
        scenes,
        tmp_path,
        *("--epochs", "2,0,0,0", "--on-nan", "skip", "--most-skipped", "1", "--set", "execution.most_skipped=2"),
    )
    message = [line for line in result.stderr.splitlines() if "gfnet: " in line][-1]
    assert result.exit_code == 2
    assert "and 2 batches were skipped before" in message
    assert f"the last good state is {tmp_path / 'run' / 'last.safetensors'}" in message
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")


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
    result = train(copy, tmp_path, "--stage", "2", "--init", run / "stage1.safetensors")
    assert re.search("9 classes, but the network in .*stage1.safetensors has 10", one_line(result))


def test_images_that_cannot_be_read_are_named_and_training_goes_on(scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    broken = [next((copy / split / "star").iterdir()) for split in ("train", "val")]
    for path in broken:
        path.write_bytes(b"no image")
    result = train(copy, tmp_path, "--epochs", "2,0,0,0")
    assert result.exit_code == 0
    for path in broken:
        assert result.stderr.count(f"skipped {path}") == 1


def test_a_network_of_one_step_is_a_classifier_of_whole_images(scenes, tmp_path):
    options = ("--steps", "1", "--patch-size", "96", "--epochs", "2,9,9,9", "--set", "model.classifier=recurrent")
    result = train(scenes, tmp_path, *options, "--set", "recipe.label_smoothing=0.1", "--augmentation", "jitter")
    assert result.exit_code == 0, result.output
    run = tmp_path / "run"
    assert [line["stage"] for line in metrics(run, "training")] == [0, 0]
    assert [len(line["top1"]) for line in metrics(run, "training")] == [1, 1]
    checkpoint = load_checkpoint(run / "model.safetensors")
    assert checkpoint.model.config.glance_head == "encoder"  # what stage 0 trained
    assert checkpoint.evaluation is not None
    assert [point.exit_distribution for point in checkpoint.evaluation.budgeted] == [(1.0,)] * 39
    torch.manual_seed(0)
    assert changed(GFNet(checkpoint.model.config).state_dict(), weights(run / "model.safetensors")) == {
        "global_encoder"
    }
    assert gfnet("evaluate", run / "model.safetensors", "--data", scenes).exit_code == 0


def test_the_classifier_may_begin_as_the_mean_of_the_encoders_answers(scenes, tmp_path):
    options = ("--epochs", "0,0,0,0", "--set", "model.classifier=cascade", "--set", "recipe.classifier_start=heads")
    assert train(scenes, tmp_path, *options).exit_code == 0
    model = load_checkpoint(tmp_path / "run" / "model.safetensors").model
    means = (model.global_encoder.head.weight + model.local_encoder.head.weight) / 2
    width = model.local_encoder.feature_dim
    learnt = model.classifier.get_submodule("fc_2").weight
    torch.testing.assert_close(learnt[:, :width] + learnt[:, width:], means)


def test_a_network_of_one_step_has_no_later_stages(scenes, tmp_path):
    first = ("--steps", "1", "--epochs", "0,0,0,0")
    assert train(scenes, tmp_path, *first).exit_code == 0
    assert "no patches to learn; train it with --stage 0 alone" in one_line(train(scenes, tmp_path, "--stage", "1"))


def test_synchronised_batchnorm_needs_gpus(scenes, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there are GPUs")
    assert "--sync-bn needs GPUs" in one_line(train(scenes, tmp_path, "--sync-bn"))


@pytest.mark.nightly  # minutes of compiling
def test_compiled_encoders_learn_the_same(scenes, tmp_path):
    pytest.importorskip("torch._inductor")
    if shutil.which("g++") is None:
        pytest.skip("torch compiles with g++ here")
    results = []
    for name, options in (("plain", ()), ("compiled", ("--compile",))):
        result = train(scenes, tmp_path / name, "--epochs", "1,0,0,0", *options)
        assert result.exit_code == 0, result.output
        results.append(metrics(tmp_path / name / "run", "training")[0]["loss"])
    assert results[1] == pytest.approx(results[0], rel=1e-3)
