"""Runs that are planned, interrupted, resumed and replaced."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
import yaml
from click.testing import CliRunner

from gfnet.checkpoint import load_checkpoint, load_training_state
from gfnet.cli import main
from gfnet.data.packing import pack_folder
from gfnet.data.synth import SceneConfig, write_scenes
from gfnet.files.locks import lock_file
from gfnet.files.replacing import RECORD
from gfnet.files.writing import atomic_file
from gfnet.training.learner import Learner
from gfnet.training.run_folder import RunFolder
from network_support import gfnet, one_line, slow

NETWORK = ("--arch", "test_resnet", "--patch-size", "40", "--image-size", "96", "--crop-ratio", "1")
OPTIONS = (
    *NETWORK,
    "--batch-size",
    "8",
    "--augmentation",
    "crop",
    "--set",
    "recipe.initial_lr=0.05",
    "--epochs",
    "2,1,2,1",
)
ITERATIONS = 6 * 4
TIMES = {"images_per_second", "memory_mb"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Fewer than others train on: 30, and 20 to validate on."""
    root = tmp_path_factory.mktemp("few") / "scenes"
    write_scenes(root, train=30, val=20, seed=5, config=SceneConfig(size=96))
    return root


def train(scenes, out, *options):
    return gfnet("train", "--data", scenes, "--out", out, *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--arch", "coat_tiny"),
            "arch 'coat_tiny' gives no feature map (it gives a list of 3); choose another backbone",
        ),
        (("--arch", "resnet51"), "arch 'resnet51' is neither an official backbone nor a timm model"),
        (("--arch", "test_vit", "--patch-size", "20"), "arch 'test_vit' cannot see patches of 20 pixels"),
    ],
)
@pytest.mark.parametrize("planned", [(), ("--dry-run",)])
def test_a_backbone_is_refused_before_data_is_looked_at(tmp_path, options, message, planned):
    (tmp_path / "empty").mkdir()
    line = one_line(train(tmp_path / "empty", tmp_path / "run", *options, *planned))
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory):
    """A run that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    result = train(scenes, out, *OPTIONS)
    assert result.exit_code == 0, result.output
    return out


def stopping_at(monkeypatch, iteration, stop):
    """Call ``stop`` when that many iterations (1 ..) have been made."""
    real = Learner.step
    made = [0]

    def step(self, *arguments):
        result = real(self, *arguments)
        made[0] += 1
        if made[0] == iteration:
            stop()
        return result

    monkeypatch.setattr(Learner, "step", step)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def lines(run):
    read = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read]


def assert_same_run(run, whole):
    """The same weights after every stage, the same result and the same metrics, bit for bit."""
    for name in (*(f"stage{stage}" for stage in range(4)), "best", "model"):
        ours, theirs = (load_checkpoint(folder / f"{name}.safetensors") for folder in (run, whole))
        state, expected = ours.model.state_dict(), theirs.model.state_dict()
        assert all(torch.equal(state[key], expected[key]) for key in expected), name
        assert ours.evaluation == theirs.evaluation
    assert lines(run) == lines(whole)


@pytest.mark.parametrize("iteration", [slow(1), 8, slow(15)], ids=lambda i: f"iteration-{i}")
def test_sigterm_saves_and_the_resumed_run_equals_the_uninterrupted_one(
    whole, scenes, tmp_path, monkeypatch, iteration
):
    stopping_at(monkeypatch, iteration, terminate)
    stopped = train(scenes, tmp_path / "run", *OPTIONS)
    assert stopped.exit_code == 143
    assert "stopped by SIGTERM; go on with `gfnet train --resume --out" in stopped.stderr
    assert "Traceback" not in stopped.output
    monkeypatch.undo()
    assert gfnet("train", "--out", tmp_path / "run", "--resume").exit_code == 0  # everything else is known
    assert_same_run(tmp_path / "run", whole)


def test_ctrl_c_saves_too(scenes, tmp_path, monkeypatch):
    stopping_at(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert train(scenes, tmp_path / "run", *OPTIONS).exit_code == 130
    state = load_training_state(tmp_path / "run" / "last.safetensors")
    assert state.values["position"]["iteration"] == 2


@pytest.mark.slow
def test_a_run_that_is_stopped_while_it_evaluates_goes_on_there(whole, scenes, tmp_path, monkeypatch):
    monkeypatch.setattr("gfnet.training.trainer.find_thresholds", lambda *_args: terminate() or (None, None))
    assert train(scenes, tmp_path / "run", *OPTIONS).exit_code == 143
    assert not (tmp_path / "run" / "model.safetensors").exists()
    monkeypatch.undo()
    monkeypatch.setattr(Learner, "step", None)  # nothing is left to learn
    assert gfnet("train", "--out", tmp_path / "run", "--resume").exit_code == 0
    assert_same_run(tmp_path / "run", whole)


def test_resuming_begins_what_was_not_begun_and_repeats_what_is_finished(whole, scenes, tmp_path):
    assert train(scenes, tmp_path / "run", *OPTIONS, "--resume").exit_code == 0
    assert_same_run(tmp_path / "run", whole)
    before = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    again = train(scenes, tmp_path / "run", *OPTIONS, "--resume")
    assert again.exit_code == 0
    assert "finished already" in again.stderr
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == before
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("stage", [slow(0), slow(1), 2, slow(3)])
def test_a_kill_right_after_a_stage_s_result_was_written_loses_nothing(whole, scenes, tmp_path, monkeypatch, stage):
    real = RunFolder.save

    def save(self, path, checkpoint):
        real(self, path, checkpoint)
        if path == self.after_stage(stage):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", save)
        assert train(scenes, tmp_path / "run", *OPTIONS).exit_code == 130
    assert train(scenes, tmp_path / "run", *OPTIONS, "--resume").exit_code == 0
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.slow
def test_a_kill_before_the_first_save_leaves_a_run_that_can_be_resumed(whole, scenes, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_last", lambda *_arguments: terminate() or time.sleep(1))
        assert train(scenes, tmp_path / "run", *OPTIONS).exit_code == 143
    assert sorted(path.name for path in (tmp_path / "run").glob("*.*")) == [RECORD, "config.yaml"]
    assert gfnet("train", "--out", tmp_path / "run", "--resume").exit_code == 0
    assert_same_run(tmp_path / "run", whole)


@pytest.fixture
def stopped(scenes, tmp_path, monkeypatch):
    """A run that was stopped in the second epoch of stage 0."""
    with monkeypatch.context() as patch:
        stopping_at(patch, 6, terminate)
        assert train(scenes, tmp_path / "run", *OPTIONS).exit_code == 143
    return tmp_path / "run"


def test_a_damaged_last_falls_back_to_the_previous_one_and_says_so(stopped, whole):
    content = bytearray((stopped / "last.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (stopped / "last.safetensors").write_bytes(content)
    result = gfnet("train", "--out", stopped, "--resume")
    assert result.exit_code == 0
    assert "last.safetensors: damaged" in result.stderr
    assert "going on from previous.safetensors" in result.stderr
    assert (stopped / "damaged.safetensors").read_bytes() == content  # and never took the place of `previous`
    assert_same_run(stopped, whole)


def test_with_both_states_damaged_nothing_is_lost_silently(stopped):
    for name in ("last", "previous"):
        (stopped / f"{name}.safetensors").write_bytes(b"nothing")
    message = one_line(gfnet("train", "--out", stopped, "--resume"))
    assert "last.safetensors: damaged" in message
    assert "begin again with --overwrite" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arch", "resnet50"), "model.arch is test_resnet in the run in .*, but resnet50 was asked for"),
        (("--steps", "4"), "model.steps is 3.* in the run in .*, but 4.* was asked for"),
        (("--batch-size", "32"), "recipe.batch_size is 8.* in the run in .*, but 32"),
        (("--epochs", "2,1,2,2"), "recipe.epochs is .* in the run in"),
        (("--stage", "2"), "is of stages .*, but .2. was asked for"),
    ],
)
def test_what_a_run_is_cannot_change_when_it_is_resumed(stopped, options, message):
    found = one_line(gfnet("train", "--out", stopped, "--resume", *options))
    assert re.search(message, found), found


def test_other_data_is_refused_when_a_run_is_resumed(stopped, scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    next((copy / "train" / "star").iterdir()).unlink()
    found = one_line(gfnet("train", "--data", copy, "--out", stopped, "--resume"))
    assert "29 images, but the run began with 30" in found
    moved = next((copy / "train" / "disc").iterdir())
    shutil.copy(moved, copy / "train" / "star" / moved.name)
    next((copy / "train" / "bars").iterdir()).unlink()
    shutil.copy(moved, copy / "train" / "star" / f"again-{moved.name}")
    found = one_line(gfnet("train", "--data", copy, "--out", stopped, "--resume"))
    assert "other labels, or the same in another order, than when the run began" in found
    for split in ("train", "val"):
        (copy / split / "arrow").rename(copy / split / "zebra")  # the others' numbers move down
    found = one_line(gfnet("train", "--data", copy, "--out", stopped, "--resume"))
    assert "class 0 is 'bars' in the data, but 'arrow' to the network in" in found
    shutil.rmtree(copy / "train" / "star")
    shutil.rmtree(copy / "val" / "star")
    found = one_line(gfnet("train", "--data", copy, "--out", stopped, "--resume"))
    assert "9 classes, but the network in" in found
    assert "has 10" in found


@pytest.mark.slow
def test_how_a_run_is_executed_may_change_when_it_is_resumed(stopped, whole):
    assert gfnet("train", "--out", stopped, "--resume", "--workers", "1", "--log-every", "3").exit_code == 0
    ours, theirs = (load_checkpoint(run / "model.safetensors").model.state_dict() for run in (stopped, whole))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_an_unfinished_run_is_not_overwritten_by_accident(stopped, scenes):
    assert "not finished; continue it with --resume" in one_line(train(scenes, stopped, *OPTIONS))
    assert train(scenes, stopped, *OPTIONS, "--overwrite").exit_code == 0


def test_leftovers_of_killed_saves_are_removed(stopped):
    with atomic_file(stopped / "last.safetensors") as temporary:
        temporary.touch()
    temporary.write_bytes(b"half")
    (stopped / ".mine.safetensors").touch()
    assert gfnet("train", "--out", stopped, "--resume").exit_code == 0
    assert {path.name for path in stopped.glob(".*")} == {RECORD, ".mine.safetensors"}


def test_two_processes_never_train_in_one_folder(stopped, scenes):
    before = {path: path.read_bytes() for path in stopped.iterdir() if path.is_file()}
    with lock_file(stopped / ".lock"):
        for arguments in (("--resume",), ("--data", scenes, *OPTIONS, "--overwrite")):
            found = one_line(gfnet("train", "--out", stopped, *arguments))
            assert f"{stopped}: process {os.getpid()} on {socket.gethostname()} since 2" in found
            assert found.endswith("trains here; wait for its end, stop it, or choose another --out")
    assert {path: path.read_bytes() for path in stopped.iterdir() if path.is_file()} == before


def test_a_run_that_was_killed_is_no_longer_held(stopped):
    (stopped / ".lock").write_text("process 1 on another since long ago")
    assert gfnet("train", "--out", stopped, "--resume").exit_code == 0
    assert not (stopped / ".lock").exists()


def test_a_run_that_cannot_begin_leaves_no_folder(scenes, tmp_path):
    assert "no such file" in one_line(train(scenes, tmp_path / "new" / "run", *NETWORK, "--init", tmp_path / "none"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["model.safetensors", "best.safetensors", "config.yaml", "metrics.jsonl"])
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_a_file_that_no_run_wrote_is_never_replaced(scenes, tmp_path, name, overwrite):
    (tmp_path / name).write_text("mine")
    found = one_line(train(scenes, tmp_path, *OPTIONS, *overwrite))
    assert f"{tmp_path / name}: was not written by this command" in found
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.slow
def test_a_run_of_a_release_without_records_is_recognised(stopped, scenes):
    (stopped / RECORD).unlink()
    assert train(scenes, stopped, *OPTIONS, "--overwrite").exit_code == 0
    assert (stopped / RECORD).is_file()


@pytest.mark.slow
def test_half_a_line_of_metrics_is_forgotten(stopped, whole, scenes):
    with open(stopped / "metrics.jsonl", "a") as stream:
        stream.write('{"stage": 0, "epo')
    assert gfnet("train", "--out", stopped, "--resume").exit_code == 0
    assert_same_run(stopped, whole)
    with open(stopped / "metrics.jsonl", "a") as stream:
        stream.write('{"stage": 0, "epo')
    assert train(scenes, stopped, *OPTIONS, "--stage", "3", "--overwrite").exit_code == 0
    assert [line["stage"] for line in lines(stopped)] == [line["stage"] for line in lines(whole)]


@pytest.mark.parametrize("name", ["stages", "model"])
def test_a_run_whose_configuration_is_incomplete_is_not_resumed(stopped, name):
    config = yaml.safe_load((stopped / "config.yaml").read_text())
    del config[name]
    (stopped / "config.yaml").write_text(yaml.safe_dump(config))
    found = one_line(gfnet("train", "--out", stopped, "--resume"))
    assert f"config.yaml: lacks {name}; restore the file" in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--steps", "1", "--set", "stages=[0,1]"), "no patches to learn"),
        (("--stage", "2", "--init", "RUN/stage2.safetensors"), "would be replaced by the run that starts from it"),
        (("--stage", "1", "--init", "RUN/nothing.safetensors"), "no such file"),
    ],
)
def test_nothing_is_replaced_before_the_new_run_can_begin(whole, scenes, tmp_path, options, message):
    run = shutil.copytree(whole, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    options = [option.replace("RUN", str(run)) for option in options]
    assert message in one_line(gfnet("train", "--data", scenes, "--out", run, *OPTIONS[:-2], *options, "--overwrite"))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_stages_of_one_run_have_the_same_classes(whole, scenes, tmp_path):
    run, copy = shutil.copytree(whole, tmp_path / "run"), shutil.copytree(scenes, tmp_path / "scenes")
    for split in ("train", "val"):
        (copy / split / "arrow").rename(copy / split / "zebra")
    found = one_line(train(copy, run, *OPTIONS, "--stage", "3", "--overwrite"))
    assert "class 0 is 'bars' in the data, but 'arrow' to the network in" in found
    start = (*OPTIONS, "--stage", "3", "--init", run / "stage2.safetensors")
    assert "'arrow' to the network in" in one_line(train(copy, tmp_path / "new", *start))
    assert not (tmp_path / "new").exists()
    (tmp_path / "map.json").write_text('{"zebra": "arrow"}')
    for map_, label in (("by-number", "bars"), (tmp_path / "map.json", "arrow")):
        result = train(copy, tmp_path / f"new-{label}", *start, "--classes", map_)
        assert result.exit_code == 0, result.stderr
        assert load_checkpoint(tmp_path / f"new-{label}" / "model.safetensors").labels[0] == label


def test_a_map_needs_a_network_to_map_to(scenes, tmp_path):
    found = one_line(train(scenes, tmp_path / "run", *OPTIONS, "--classes", "by-name"))
    assert "--classes maps to the classes of a network that training starts from" in found


def test_a_run_goes_on_from_another_folder_and_with_data_that_moved(whole, scenes, tmp_path, monkeypatch):
    shutil.copytree(scenes, tmp_path / "a" / "scenes")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with monkeypatch.context() as patch:
        stopping_at(patch, 6, terminate)
        assert train("scenes", "run", *OPTIONS).exit_code == 143
    monkeypatch.chdir(tmp_path / "b")
    (tmp_path / "a" / "scenes").rename(tmp_path / "b" / "elsewhere")
    moved = ("train", "--out", "../a/run", "--resume")
    told = one_line(gfnet(*moved))
    assert f"{tmp_path / 'a' / 'scenes'}: no such folder" in told
    assert "pass --data again if it moved" in told
    told = one_line(gfnet(*moved, "--data", "scenes"))
    assert f"looked for in {tmp_path / 'b'}" in told
    assert gfnet(*moved, "--data", "elsewhere").exit_code == 0
    assert_same_run(tmp_path / "a" / "run", whole)


def test_a_stage_that_takes_no_epochs_says_so(whole, scenes, tmp_path):
    start = ("--init", whole / "stage0.safetensors", "--stage", "0")
    result = train(scenes, tmp_path / "run", *OPTIONS[:-2], *start)
    assert result.exit_code == 0, result.output
    assert "stage 0 takes no epochs" in result.stderr


def test_trained_stages_are_not_overwritten_by_accident(whole, scenes):
    assert "stage0.safetensors: trained already" in one_line(train(scenes, whole, *OPTIONS))


@pytest.mark.slow
def test_stages_one_by_one_are_the_stages_in_one_go(whole, scenes, tmp_path):
    for stage in range(4):
        result = train(scenes, tmp_path / "run", *OPTIONS, "--stage", str(stage))
        assert result.exit_code == 0, result.output
    for stage in range(4):
        ours, theirs = (load_checkpoint(r / f"stage{stage}.safetensors").model for r in (tmp_path / "run", whole))
        theirs_state = theirs.state_dict()
        assert all(torch.equal(value, theirs_state[key]) for key, value in ours.state_dict().items())
    assert [line["stage"] for line in lines(tmp_path / "run")] == [line["stage"] for line in lines(whole)]


def test_another_network_between_stages_is_refused_with_both_values(whole, scenes, tmp_path):
    start = ("--init", whole / "stage1.safetensors", "--stage", "2")
    found = one_line(train(scenes, tmp_path / "run", *start, "--steps", "4"))
    assert "model.steps is 3 in the checkpoint that training starts from, but 4 was asked for" in found
    assert "no such file; stage 2 starts from it" in one_line(train(scenes, tmp_path / "run", "--stage", "2"))


def test_a_full_disk_loses_nothing_that_was_saved(whole, scenes, tmp_path, monkeypatch):
    def full():
        def open_on_a_full_disk(path, mode):
            return open("/dev/full" if "last" in path.name else path, mode)  # takes nothing, as a full disk does

        monkeypatch.setattr("gfnet.checkpoint.native.open", open_on_a_full_disk, raising=False)

    stopping_at(monkeypatch, 7, full)
    found = one_line(train(scenes, tmp_path / "run", *OPTIONS, "--save-every", "2"))
    assert "last.safetensors: cannot write (No space left on device)" in found
    monkeypatch.undo()
    state = load_training_state(tmp_path / "run" / "last.safetensors")
    assert state.values["position"]["iteration"] == 6
    assert gfnet("train", "--out", tmp_path / "run", "--resume").exit_code == 0
    assert_same_run(tmp_path / "run", whole)


def kill_at_random(command, run, kills):
    """Start ``command`` again and again, killing it at random moments of each attempt; then let it finish."""
    choice = random.Random(kills)
    for _ in range(kills):
        before = last_saved(run)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while last_saved(run) == before:  # so that every attempt gets a little further
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        time.sleep(choice.uniform(0, 0.3))
        assert process.poll() is None, "finished before it was killed"
        process.kill()
        process.communicate()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def last_saved(run):
    """When the run's state was saved last."""
    path = run / "last.safetensors"
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.parametrize(
    ("kills", "epochs"),
    [slow(2, "2,1,2,1"), pytest.param(20, "8,4,8,4", marks=pytest.mark.nightly)],
    ids=["twice", "20-times"],
)
def test_kills_at_random_moments_change_nothing(scenes, tmp_path, kills, epochs):
    options = ("--data", scenes, *OPTIONS[:-1], epochs)
    assert gfnet("train", *options, "--out", tmp_path / "whole").exit_code == 0
    run = tmp_path / "run"
    command = [sys.executable, "-m", "gfnet", "train", *map(str, options), "--out", str(run), "--save-every", "1"]
    kill_at_random([*command, "--resume"], run, kills)
    assert_same_run(run, tmp_path / "whole")


def test_a_dry_run_prints_what_would_be_trained_and_writes_nothing(scenes, tmp_path):
    result = train(scenes, tmp_path / "run", *OPTIONS, "--dry-run", "--json", tmp_path / "plan.json")
    assert result.exit_code == 0
    config = yaml.safe_load(result.stdout)
    assert config == json.loads((tmp_path / "plan.json").read_text())
    assert config["recipe"]["epochs"] == [2, 1, 2, 1]
    assert config["model"]["arch"] == "test_resnet"
    assert not (tmp_path / "run").exists()


def test_a_configuration_file_is_an_option_list_that_flags_override(scenes, tmp_path):
    (tmp_path / "run.yaml").write_text(
        "recipe: {batch_size: 8, ppo: {clip: 0.1}, encoder_lr: 1e-3}\nmodel: {arch: test_resnet, patch_size: 40}\n"
    )
    options = ("--config", tmp_path / "run.yaml", "--image-size", "96", "--batch-size", "4", "--dry-run")
    result = train(scenes, tmp_path / "run", *options, "--set", "recipe.ppo.discount=0.5")
    assert result.exit_code == 0, result.output
    config = yaml.safe_load(result.stdout)
    assert config["recipe"]["batch_size"] == 4
    assert config["recipe"]["encoder_lr"] == 0.001  # YAML reads 1e-3 as text
    assert (config["recipe"]["ppo"]["clip"], config["recipe"]["ppo"]["discount"]) == (0.1, 0.5)


def test_what_a_dry_run_prints_is_a_configuration_file(scenes, tmp_path):
    printed = train(scenes, tmp_path / "run", *OPTIONS, "--dry-run").stdout
    (tmp_path / "run.yaml").write_text(printed)
    again = gfnet("train", "--config", tmp_path / "run.yaml", "--out", tmp_path / "run", "--dry-run")
    assert again.stdout == printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "recipe.ppo.clp=0.1"), "recipe.ppo.clp: no such setting; known are lr, betas"),
        (("--set", "recipe.batch_size=many"), "recipe.batch_size: .*not 'many'"),
        (("--set", "recipe.momentum=2"), "momentum is 2.0; use a value between 0 and 1"),
        (("--set", "nonsense"), "write NAME=VALUE"),
        (("--set", "recipe.least_crop=0"), "least_crop is 0.0; use a value above 0, at most 1"),
        (("--set", "recipe.label_smoothing=1"), "label_smoothing is 1.0; use a value from 0 to below 1"),
        (("--set", "recipe.classifier_start=zero"), "recipe.classifier_start: .*not 'zero'"),
        (
            ("--set", "model.classifier=recurrent", "--set", "recipe.classifier_start=heads"),
            "only a cascade can begin as the mean of linear heads",
        ),
        (("--set", "recipe.augmentation=mixup"), "recipe.augmentation: .*not 'mixup'"),
        (("--amp", "fp8"), "'fp8' is not one of"),
        (("--epochs", "1,2"), "give 4 comma-separated numbers"),
        (("--batch-size", "0"), "batch_size is 0; use 1 or more"),
        (("--accumulate", "0"), "accumulate is 0; use 1 or more"),
        (("--accumulate", "9000"), "accumulate 9000 leaves fewer than two images of a batch of"),
        (("--config", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("--set", "execution=3"), "execution is 3; expected names and values under it"),
        (("--set", "execution.timeout_s=abc"), "execution.timeout_s: .*not 'abc'"),
        (("--set", "stages=[]"), r"stages \[\]: give one of"),
        (("--set", "stages=2.5"), "stages 2.5: give one of"),
        (("--set", "stages={a: 1}"), "stages .*: give one of"),
        (("--set", "init=5"), "init is 5; expected text"),
        (("--set", "model.image_size=60.5"), "model.image_size: .*not 60.5"),
        (("--set", "model.crop_ratio=x"), "model.crop_ratio: .*not 'x'"),
        (("--init", "groceries", "--init-global", "b"), "init and init_global are both given"),
        (("--stage", "1", "--init-local", "b"), "init_local is what stage 0 starts from, but stage 1 comes first"),
    ],
)
def test_wrong_options_are_named(scenes, tmp_path, options, message):
    assert re.search(message, one_line(train(scenes, tmp_path / "run", *options)))


def test_resuming_and_overwriting_exclude_each_other(stopped):
    found = one_line(gfnet("train", "--out", stopped, "--resume", "--overwrite"))
    assert "--resume goes on with a run and --overwrite replaces it; choose one" in found


def test_where_a_run_goes_on_is_said(stopped):
    result = gfnet("train", "--out", stopped, "--resume")
    assert "gfnet: goes on in stage 0, epoch 2, after iteration 6" in result.stderr
    assert re.search(r"stage 0, epoch 2: validation top-1 \S+ \S+ %", result.stderr)


def test_no_data_is_said_to_be_missing(tmp_path):
    assert "no data given; pass --data" in one_line(gfnet("train", "--out", tmp_path / "run"))
    assert "no run to resume in" in one_line(gfnet("train", "--out", tmp_path / "run", "--resume"))


def test_published_recipes_are_the_defaults(scenes, tmp_path):
    config = yaml.safe_load(train(scenes, tmp_path / "run", "--dry-run").stdout)
    assert config["model"]["arch"] == "mobilenetv3_large_100"
    assert config["recipe"]["encoder_lr"] == 0.005
    assert config["recipe"]["epochs"] == [90, 90, 15, 90]
    assert config["recipe"]["train_global"] is False


def test_training_from_shards_is_training(scenes, tmp_path):
    pack_folder(scenes, tmp_path / "shards", shard_images=8)
    spec = tmp_path / "shards" / "train-{000000..000003}.tar"
    result = train(spec, tmp_path / "run", *OPTIONS[:-1], "1,0,1,0")
    assert result.exit_code == 0, result.output
    assert load_checkpoint(tmp_path / "run" / "model.safetensors").labels == tuple(
        sorted(path.name for path in (scenes / "train").iterdir())
    )


def test_bare_commands_need_an_output_folder():
    result = CliRunner().invoke(main, ["train"])
    assert result.exit_code == 2
