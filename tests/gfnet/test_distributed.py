"""Real ranks, started by the real ``torchrun``, talking through gloo."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import rank_worker
from gfnet.checkpoint import load_checkpoint, load_training_state
from gfnet.distributed import Ranks, current_ranks, gather, sum_over_ranks
from network_support import gfnet

ROOT = Path(__file__).parents[2]
NETWORK = ("--arch", "test_resnet", "--patch-size", "40", "--image-size", "96", "--crop-ratio", "1")
OPTIONS = (*NETWORK, "--batch-size", "12", "--augmentation", "flip")


def start(*arguments, ranks=2, options=()):
    """``torchrun`` with its messages captured, one thread a rank."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("", "export", "benchmark", "tests")),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), *options, *arguments]
    return subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def test_shares_are_contiguous_and_differ_by_one_at_most():
    shares = [Ranks(rank, 3).share(10) for rank in range(3)]
    assert [list(range(10))[share] for share in shares] == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]


def test_a_single_rank_is_its_own_sum():
    assert current_ranks() == Ranks(0, 1)
    assert sum_over_ranks([1.5, True]) == [1.5, 1.0]
    assert gather("x") == ["x"]


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks")
    finished(start(ROOT / "tests" / "rank_worker.py", out))
    return {stage: torch.load(out / f"stage{stage}.pt") for stage in (1, 2, 3)}


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_two_ranks_with_half_the_batch_learn_what_one_learns_with_the_whole(two_ranks, stage):
    model, results = rank_worker.learn(stage)
    assert two_ranks[stage]["same"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(two_ranks[stage]["state"][name], value, rtol=0, atol=1e-5, msg=name)
    for ours, theirs in zip(results, two_ranks[stage]["results"], strict=True):
        assert ours.correct == theirs["correct"]
        assert ours.loss == pytest.approx(theirs["loss"], abs=1e-5)
        assert ours.rewards == pytest.approx(theirs["rewards"], abs=1e-5)
        assert ours.grad_norm == pytest.approx(theirs["grad_norm"], rel=1e-3)


@pytest.fixture(scope="module")
def initialised(scenes, tmp_path_factory):
    """A network after stage 0."""
    out = tmp_path_factory.mktemp("initialised") / "run"
    result = gfnet("train", "--data", scenes, "--out", out, *OPTIONS, "--epochs", "1,0,0,0", "--stage", "0")
    assert result.exit_code == 0, result.output
    return out / "stage0.safetensors"


def test_the_command_trains_and_evaluates_alike_under_torchrun(scenes, initialised, tmp_path):
    options = (*OPTIONS, "--init", initialised, "--stage", "2", "--epochs", "0,0,2,0")
    command = ("train", "--data", scenes, *options)
    assert gfnet(*command, "--out", tmp_path / "one").exit_code == 0
    output = finished(start("-m", "gfnet", *command, "--out", tmp_path / "two"))
    assert output.count("multiply-adds   top-1") == 1  # the first rank reports
    one, two = (load_checkpoint(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    two_state = two.model.state_dict()
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(two_state[name], value, rtol=0, atol=1e-5, msg=name)
    assert two.evaluation.anytime_top1 == one.evaluation.anytime_top1
    assert [point.top1 for point in two.evaluation.budgeted] == [point.top1 for point in one.evaluation.budgeted]
    assert len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()) == 4


@pytest.mark.slow
def test_evaluation_by_two_ranks_is_that_of_one(scenes, checkpoint_file, tmp_path):
    command = ("evaluate", checkpoint_file, "--data", scenes, "--thresholds", "search", "--batch-size", "20")
    assert gfnet(*command, "--json", tmp_path / "one.json").exit_code == 0
    output = finished(start("-m", "gfnet", *command, "--json", tmp_path / "two.json"))
    assert output.count("multiply-adds") == output.count("budget (average)") == 1  # the first rank reports
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert two["anytime_top1"] == one["anytime_top1"]
    assert [point["top1"] for point in two["budgeted"]] == [point["top1"] for point in one["budgeted"]]


def wait_for_iteration(run, iteration, process):
    """Until the run's metrics tell of that iteration."""
    deadline = time.monotonic() + 120
    metrics = run / "metrics.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        lines = metrics.read_text().splitlines() if metrics.exists() else []
        if lines and json.loads(lines[-1])["iteration"] >= iteration:
            return
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[0])


def children(pid):
    """The ids of the processes that one started; of ``torchrun``, its ranks."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


LONG = (*OPTIONS, "--epochs", "30,0,0,0", "--validate-every", "0", "--log-every", "1", "--save-every", "5")


@pytest.mark.slow
def test_sigterm_stops_all_ranks_after_saving(scenes, tmp_path):
    process = start("-m", "gfnet", "train", "--data", scenes, "--out", tmp_path / "run", *LONG)
    wait_for_iteration(tmp_path / "run", 3, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert "gfnet: stopped by SIGTERM; go on with" in output
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")


@pytest.mark.slow
def test_a_rank_that_dies_ends_all_with_its_error_shown(scenes, tmp_path):
    process = start("-m", "gfnet", "train", "--data", scenes, "--out", tmp_path / "run", *LONG)
    wait_for_iteration(tmp_path / "run", 3, process)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Signal 9 (SIGKILL) received" in output  # torchrun's account of the root cause


@pytest.mark.slow
def test_ranks_that_are_started_anew_go_on_where_the_dead_ones_were(scenes, tmp_path):
    run = tmp_path / "run"
    command = ("-m", "gfnet", "train", "--data", scenes, "--out", run, *LONG)
    process = start(*command, options=("--max-restarts", "1"))
    wait_for_iteration(run, 6, process)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    reached = len((run / "metrics.jsonl").read_text().splitlines())
    wait_for_iteration(run, reached + 10, process)
    iterations = [json.loads(line)["iteration"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert iterations == list(range(1, len(iterations) + 1))  # none twice, none lost
    process.terminate()
    process.communicate(timeout=60)


@pytest.mark.slow
def test_an_error_of_one_rank_is_shown(scenes, tmp_path):
    process = start("-m", "gfnet", "train", "--data", scenes, "--out", tmp_path / "run", *LONG, "--batch-size", "3")
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "batch_size 3 is too small for 2 ranks" in output


def test_what_fails_or_stops_on_one_rank_does_on_all(tmp_path):
    finished(start(ROOT / "tests" / "failing_rank_worker.py", tmp_path))
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert (first.pop("fine"), second.pop("fine")) == ("0", "1")
    assert first.pop("failing") == "RankError: another rank cannot go on; see its own message"
    assert second.pop("failing") == "DataError: no batch"
    stopped = "Stopped: SIGTERM"
    expected = {"error": "DataError: a broken image", "stop": stopped, "watched": stopped, "two signals": stopped}
    assert first == second == expected


@pytest.mark.slow
def test_an_image_that_one_rank_cannot_read_ends_a_strict_evaluation_in_a_line(checkpoint_file, scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    broken = sorted((copy / "val").rglob("*.png"))[-1]  # of the second rank's share
    broken.write_bytes(b"no image")
    process = start("-m", "gfnet", "evaluate", checkpoint_file, "--data", copy, "--strict")
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"gfnet: {broken}" in output
    assert "RuntimeError" not in output


@pytest.mark.slow
def test_ranks_that_were_told_different_things_do_not_begin(scenes, tmp_path):
    command = f"{sys.executable} -m gfnet train --data {scenes} --out {tmp_path}/run {' '.join(OPTIONS)} --seed $RANK"
    process = start("bash", "-c", command, options=("--no-python",))
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "start with different recipe; give all of them the same command" in output
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_sigterm_to_a_whole_process_group_saves_before_the_decoders_end(scenes, tmp_path):
    run = tmp_path / "run"
    process = start("-m", "gfnet", "train", "--data", scenes, "--out", run, *LONG, "--workers", "2")
    wait_for_iteration(run, 3, process)
    process.send_signal(signal.SIGTERM)  # torchrun passes it on to each rank's process group
    output, _ = process.communicate(timeout=60)
    assert "gfnet: stopped by SIGTERM; go on with" in output
    assert "DataLoader" not in output
    saved = load_training_state(run / "last.safetensors").values["position"]["iteration"]
    assert saved == json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["iteration"]


@pytest.mark.slow
def test_a_decoder_that_is_killed_ends_training_after_a_save(scenes, tmp_path):
    run = tmp_path / "run"
    process = start("-m", "gfnet", "train", "--data", scenes, "--out", run, *LONG, "--workers", "1")
    wait_for_iteration(run, 3, process)
    decoder = children(children(process.pid)[1])[0]
    os.kill(decoder, signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "a decoding process died" in output
    assert "RuntimeError" not in output
    saved = load_training_state(run / "last.safetensors").values["position"]["iteration"]
    assert saved == json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["iteration"]
