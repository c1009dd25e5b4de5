"""The comparison in benchmark/results/groceries: what it says about itself holds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from gfnet.results.files import read_result
from network_support import gfnet

FOLDER = Path(__file__).parents[1] / "benchmark" / "results" / "groceries"
PAGE = Path(__file__).parents[1] / "docs" / "results" / "groceries.md"


def resolved(scenes, tmp_path, name, *options):
    plan = gfnet("train", "--config", FOLDER / name, "--data", scenes, "--out", tmp_path / "run", "--dry-run", *options)
    assert plan.exit_code == 0, plan.output
    return yaml.safe_load(plan.stdout)


def test_the_network_and_its_rivals_are_trained_with_equal_care(scenes, tmp_path):
    rival = resolved(scenes, tmp_path, "classifier.yaml", "--patch-size", "160", "--image-size", "160")
    network = resolved(scenes, tmp_path, "gfnet.yaml", "--patch-size", "96")
    assert rival["stages"] == [0]
    assert rival["model"]["glance_head"] == "encoder"
    ours, theirs = network["recipe"], rival["recipe"]
    alike = ("batch_size", "momentum", "weight_decay", "augmentation", "least_crop", "label_smoothing")
    assert {name: ours[name] for name in alike} == {name: theirs[name] for name in alike}
    # Its encoders start as rivals that are trained already: one of those goes on for as long.
    assert f"--epochs {ours['epochs'][1]},0,0,0" in (FOLDER / "Makefile").read_text()
    assert ours["epochs"][3] == 0
    assert network["model"]["dropout"] == rival["model"]["dropout"]


def test_pretraining_is_a_configuration(scenes, tmp_path):
    plan = resolved(scenes, tmp_path, "pretraining.yaml")
    assert (plan["stages"], plan["model"]["steps"]) == ([0], 1)


@pytest.mark.parametrize(
    "made",
    [
        "result.json",
        "evaluation-96.json",
        "calibrated-128.safetensors",
        "looks-96-random-2.json",
        "precisions.json",
    ],
)
def test_one_command_makes_everything(tmp_path, made):
    folders = ("GROCERIES=/groceries", "CALTECH=/caltech", f"RUNS={tmp_path}")
    done = subprocess.run(
        ["make", "--dry-run", "--directory", FOLDER, *folders, tmp_path / made],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    commands = done.stdout.replace("\\\n", " ").splitlines()
    assert sum("train --config" in command and "pretraining.yaml" in command for command in commands) == 1
    for command in commands:
        words = command.split()
        if words[0] == "gfnet":
            depth = 3 if words[1] in ("export", "bench", "prepare") else 2
            known = gfnet(*words[1:depth], "--help").stdout
            assert [word for word in words if word.startswith("--") and word not in known] == []


def test_its_page_says_what_was_measured():
    page = PAGE.read_text()
    subjects = {subject.name: subject for subject in read_result(FOLDER / "result.json").subjects}
    rows = {size: f"classifier-{size}" for size in ("96", "128", "160", "192", "224")}
    for size, classifier in [*rows.items(), ("224, 12 more epochs", "longer-224")]:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {size} | ")]
        for network in ("gfnet-96-int8-vectors", "gfnet-128-int8-vectors"):
            (match,) = [m for m in subjects[network].matches if m.classifier == f"{classifier}-int8-vectors"]
            assert f"| {match.top1:.1f} % |" in row
            if match.ratio is None:
                assert "not reached; its best is" in row
            else:
                assert f"{match.typical_ms:.2f} ms, {match.ratio:.2f} times" in row
            if match.ratio is not None and size != "96":
                high = "open" if match.high is None else format(match.high, ".2f")
                assert f"({match.low:.2f} to {high})" in row
