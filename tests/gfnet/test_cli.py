from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from gfnet.checkpoint import load_checkpoint, save_checkpoint
from gfnet.files.replacing import RECORD
from network_support import READABLE, UNREADABLE, gfnet, one_line, slow

GFNET = Path(sys.executable).with_name("gfnet")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from gfnet.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'onnxruntime', 'pydantic', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\n  predict " in done.stdout


def test_info_tells_network_cost_and_results(checkpoint_file, tmp_path):
    result = gfnet("info", checkpoint_file, "--json", tmp_path / "info.json")
    assert result.exit_code == 0
    assert "test_resnet_p40_T3" in result.output
    info = json.loads((tmp_path / "info.json").read_text())
    assert len(info["macs"]) == 3
    assert len(info["evaluation"]["budgeted"]) == 39


def test_evaluate_writes_the_documented_json(checkpoint_file, scenes, tmp_path):
    result = gfnet("evaluate", checkpoint_file, "--data", scenes, "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    out = json.loads((tmp_path / "out.json").read_text())
    assert out["classes"] == 10
    assert out["images"] == 40
    assert len(out["anytime_top1"]) == 3
    for point in out["budgeted"]:
        assert {"budget", "thresholds", "top1", "mean_macs", "exit_distribution"} <= set(point)
        assert sum(point["exit_distribution"]) == pytest.approx(1)


def test_evaluate_finds_new_thresholds_and_saves_them(checkpoint_file, scenes, tmp_path):
    saved = tmp_path / "new.safetensors"
    result = gfnet(
        "evaluate",
        checkpoint_file,
        "--data",
        scenes,
        "--thresholds",
        "search",
        "--search-images",
        "30",
        "--save",
        saved,
    )
    assert result.exit_code == 0, result.output
    old, new = load_checkpoint(checkpoint_file), load_checkpoint(saved)
    assert old.evaluation is not None
    assert new.evaluation is not None
    assert [p.thresholds for p in new.evaluation.budgeted] != [p.thresholds for p in old.evaluation.budgeted]
    for key, value in old.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), new.model.state_dict()[key].numpy())


def test_evaluate_writes_a_report_of_optimal_thresholds_that_other_commands_take(checkpoint_file, scenes, tmp_path):
    saved, folder = tmp_path / "optimal.safetensors", tmp_path / "report"
    result = gfnet(
        "evaluate",
        checkpoint_file,
        "--data",
        scenes,
        "--solver",
        "optimal",
        "--search-split",
        "val",
        "--save",
        saved,
        "--report",
        folder,
    )
    assert result.exit_code == 0, result.output
    assert "optimal thresholds, from: every second image of each class of val" in result.output
    assert {path.name for path in folder.iterdir()} >= {"curve.csv", "curve.png", "calibration.png", "classes.csv"}
    stored = load_checkpoint(saved).evaluation
    assert stored is not None
    budget = f"{stored.budgeted[20].budget / 1e6:.6f}M"
    assert gfnet("predict", saved, scenes / "val" / "star", "--budget", budget).exit_code == 0
    again = gfnet("evaluate", saved, "--data", scenes, "--thresholds", "saved", "--budget", budget)
    assert "at the budget of" in again.output


@pytest.mark.slow
def test_evaluate_counts_in_milliseconds_of_the_same_network(
    checkpoint, checkpoint_file, onnx_bundle, scenes, tmp_path
):
    bench = tmp_path / "bench.json"
    photos = ("--images", scenes / "val", "--limit", "3", "--rounds", "1", "--no-cold")
    assert gfnet("bench", "onnx", onnx_bundle.folder, *photos, "--json", bench).exit_code == 0
    measured = json.loads(bench.read_text())
    for subject in measured["subjects"]:  # three photos on a busy machine may say that more steps take less time
        for stop in subject["stops"]:
            stop["typical_ms"] = float(stop["step"])
        loop = subject["loop"]
        loop["modelled_ms"] = sum(step * share for step, share in enumerate(loop["exit_distribution"], start=1))
    bench.write_text(json.dumps(measured))
    evaluate = ("evaluate", checkpoint_file, "--data", scenes, "--latency", bench)
    result = gfnet(*evaluate, "--solver", "optimal", "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    out = json.loads((tmp_path / "out.json").read_text())
    assert out["step_ms"] == [1, 2, 3]
    for point in out["budgeted"]:
        assert point["mean_ms"] == pytest.approx(np.dot(point["exit_distribution"], out["step_ms"]))
    network = f'"{checkpoint.model.config.name}"'
    bench.write_text(json.dumps(measured).replace(network, '"resnet50_p96_T3"'))
    assert "measures resnet50_p96_T3" in one_line(gfnet(*evaluate))


def test_evaluate_reports_unreadable_images_and_exits_1(checkpoint_file, scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    broken = next((copy / "val" / "star").iterdir())
    broken.write_bytes(b"")
    result = gfnet("evaluate", checkpoint_file, "--data", copy, "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert broken.name in result.stderr
    assert "1 images could not be read" in result.stderr
    assert json.loads((tmp_path / "out.json").read_text())["images"] == 39
    assert broken.name in one_line(gfnet("evaluate", checkpoint_file, "--data", copy, "--strict"))


def test_predict_with_a_checkpoint_names_what_it_cannot_read(checkpoint_file, odd_images, tmp_path):
    result = gfnet("predict", checkpoint_file, odd_images, "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    out = json.loads((tmp_path / "out.json").read_text())
    assert {Path(entry["image"]).stem for entry in out} == set(READABLE)
    for kind in UNREADABLE:
        assert f"/{kind}." in result.stderr
    assert "3 images could not be read" in result.stderr


def test_predict_strict_stops_at_the_first(checkpoint_file, odd_images):
    assert "empty.png" in one_line(gfnet("predict", checkpoint_file, odd_images, "--strict"))


def test_synth_writes_scenes_and_says_what(tmp_path):
    result = gfnet("synth", tmp_path / "out", "--train", "10", "--val", "10", "--json", tmp_path / "out.json")
    assert result.exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text())["train"] == 10
    assert len(list((tmp_path / "out").rglob("*.png"))) == 20


def test_convert_goes_both_ways(checkpoint_file, tmp_path):
    assert "no backbone" in one_line(gfnet("convert", checkpoint_file, tmp_path / "x.pth.tar"))
    assert gfnet("convert", checkpoint_file, tmp_path / "copy.safetensors").exit_code == 0
    assert "name the new file" in one_line(gfnet("convert", checkpoint_file, tmp_path / "x.onnx"))
    assert gfnet("convert", checkpoint_file, tmp_path / "half.safetensors", "--half").exit_code == 0
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "copy.safetensors").stat().st_size
    assert "--half needs a file named" in one_line(gfnet("convert", checkpoint_file, tmp_path / "x.pth.tar", "--half"))


BAD = {
    "missing checkpoint": (("info", "{tmp}/none.pth"), "no such file"),
    "not a checkpoint": (("convert", "{scenes}/val", "{tmp}/a.safetensors"), "a folder, not a checkpoint file"),
    "not a bundle": (("info", "{scenes}/val"), "no manifest.json in this folder"),
    "missing data": (("evaluate", "{checkpoint}", "--data", "{tmp}/none"), "no such folder"),
    "empty folder": (("predict", "{checkpoint}", "{tmp}"), "no images in this folder"),
    "missing image": (("predict", "{checkpoint}", "{tmp}/none.jpg"), "no such file or folder"),
    "negative threshold": (("predict", "{checkpoint}", "{scenes}/val", "--thresholds", "0.5,-1"), "threshold -1.0"),
    "nan threshold": (("predict", "{checkpoint}", "{scenes}/val", "--thresholds", "nan,0.5"), "threshold nan"),
    "too few thresholds": (("predict", "{checkpoint}", "{scenes}/val", "--thresholds", "0.5"), "give 2 or 3"),
    "thresholds no numbers": (("predict", "{checkpoint}", "{scenes}/val", "--thresholds", "a,b"), "comma-separated"),
    "budget too small": (("predict", "{checkpoint}", "{scenes}/val", "--budget", "1"), "out of range"),
    "budget too large": (("predict", "{checkpoint}", "{scenes}/val", "--budget", "1G"), "out of range"),
    "budget no number": (("predict", "{checkpoint}", "{scenes}/val", "--budget", "lots"), "give multiply-adds"),
    "two at once": (("predict", "{checkpoint}", "{scenes}/val", "--budget", "1M", "--all-steps"), "exclude"),
    "T below 1": (("train", "--data", "{scenes}", "--out", "{tmp}/run", "--steps", "0"), "steps is 0"),
    "image smaller than patch": (
        ("train", "--data", "{scenes}", "--out", "{tmp}/run", "--image-size", "64"),
        "smaller than patch_size",
    ),
    "unknown backbone": (
        ("train", "--data", "{scenes}", "--out", "{tmp}/run", "--arch", "resnet5"),
        "nor a timm model",
    ),
    "epochs no numbers": (("train", "--data", "{scenes}", "--out", "{tmp}/run", "--epochs", "1,2"), "give 4"),
    "stage without the one before": (
        ("train", "--data", "{scenes}", "--out", "{tmp}/run", "--stage", "2"),
        "train stage 1 first or pass --init",
    ),
    "unknown option": (("info", "--nonsense"), "see `gfnet info --help`"),
    "no batch": (("evaluate", "{checkpoint}", "--data", "{scenes}", "--batch-size", "0"), "0 is not in the range"),
    "negative workers": (
        ("train", "--data", "{scenes}", "--out", "{tmp}/run", "--workers", "-1"),
        "workers is -1; use 0 or more",
    ),
    "unknown command": (("nonsense",), "No such command"),
    "scenes of no class": (("synth", "{tmp}/out", "--train", "3"), "do not cover 10 classes"),
    "unwritable": (("synth", "/proc/nowhere/out", "--train", "10", "--val", "10"), "cannot write"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_and_exit_2(arguments, message, checkpoint_file, scenes, tmp_path):
    places = {"checkpoint": checkpoint_file, "scenes": scenes, "tmp": tmp_path}
    result = gfnet(*(argument.format(**places) for argument in arguments))
    assert message in one_line(result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_too_little_memory_is_one_line(error, checkpoint_file, scenes, monkeypatch):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr("gfnet.evaluation.datasets.predict_split", fail)
    assert "out of memory; use a smaller --batch-size" in one_line(gfnet("evaluate", checkpoint_file, "--data", scenes))


def test_classes_under_other_names_are_pointed_out(checkpoint_file, scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    for split in ("train", "val"):
        (copy / split / "arrow").rename(copy / split / "zebra")
    result = gfnet("evaluate", checkpoint_file, "--data", copy)
    assert "class 0 is 'bars' in the data, but 'arrow' to the network" in one_line(result)


def test_debug_shows_the_traceback(tmp_path):
    done = subprocess.run([GFNET, "--debug", "info", tmp_path / "none"], capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert done.returncode != 0


FILE_LIMIT = 20_000
"""Bytes after which every write fails, as on a full disk."""

WRITERS = {
    "convert": ("convert", "{checkpoint}", "{tmp}/out/copy.safetensors"),
    "export onnx": ("export", "onnx", "{checkpoint}", "--out", "{tmp}/out/bundle"),
    "export coreml": ("export", "coreml", "{checkpoint}", "--out", "{tmp}/out/bundle"),
    "predict": ("predict", "{checkpoint}", "{scenes}/val", "--logits", "--json", "{tmp}/out/traces.json"),
}


@pytest.mark.parametrize(
    "arguments",
    [WRITERS[name] if name == "predict" else slow(WRITERS[name]) for name in WRITERS],
    ids=WRITERS.keys(),
)
def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(arguments, checkpoint_file, scenes, tmp_path):
    places = {"checkpoint": checkpoint_file, "scenes": scenes, "tmp": tmp_path}
    done = subprocess.run(
        [GFNET, *(argument.format(**places) for argument in arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT)),
    )
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("gfnet: ")]
    assert len(errors) == 1, done.stderr
    assert "cannot write" in errors[0]
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").rglob("*"))


def test_a_bare_group_shows_its_help_as_it_is():
    result = gfnet()
    assert result.exit_code == 2
    assert "\nStart:\n  predict " in result.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(checkpoint_file, onnx_bundle, scenes, tmp_path, monkeypatch):
    """A folder to work in: a network, its bundle, data and a user's own folder."""
    shutil.copytree(scenes, tmp_path / "data")
    shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")
    (tmp_path / "run").mkdir()
    shutil.copy(checkpoint_file, tmp_path / "run" / "model.safetensors")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("years of work")
    (tmp_path / "link").symlink_to("run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


REPLACERS = {
    "export onnx": ("export", "onnx", "run/model.safetensors", "--out", "OUT"),
    "export coreml": ("export", "coreml", "run/model.safetensors", "--out", "OUT"),
    "export with calibration": (
        *("export", "onnx", "run/model.safetensors", "--precision", "int8", "--calibration", "data/val"),
        *("--out", "OUT"),
    ),
    "pack": ("pack", "data", "OUT"),
    "synth": ("synth", "OUT", "--train", "10", "--val", "10", "--size", "48"),
    "prepare join": ("prepare", "join", "data", "data/.", "OUT"),
    "prepare groceries": ("prepare", "groceries", "data", "OUT"),
    "prepare caltech101": ("prepare", "caltech101", "data", "OUT"),
    "visualize": ("visualize", "run/model.safetensors", "data/val/star", "--out", "OUT"),
    "mac compile": ("mac", "compile", "data", "--out", "OUT"),
}


@pytest.mark.parametrize("arguments", REPLACERS.values(), ids=REPLACERS.keys())
def test_overwriting_deletes_nothing_that_the_command_did_not_write(place, arguments):
    for folder in ("data", "bundle"):  # else they may be replaced by what they are made with
        (place / folder / RECORD).unlink()
    before = contents(place)
    for out in ("mine", "run", "link", "data", "data/val", ".", "..", "/", "bundle/", "run/../mine/."):
        named = [out if argument == "OUT" else argument for argument in arguments]
        one_line(gfnet(*named, "--overwrite"))
        assert contents(place) == before, out


@pytest.mark.parametrize("name", ["pack", "synth"])
def test_what_a_command_wrote_it_replaces(place, name):
    arguments = ["out" if argument == "OUT" else argument for argument in REPLACERS[name]]
    assert gfnet(*arguments).exit_code == 0
    before = sorted(contents(place / "out"))
    assert "already exists" in one_line(gfnet(*arguments))
    assert gfnet(*arguments, "--overwrite").exit_code == 0
    assert sorted(contents(place / "out")) == before
    (place / "out" / "notes.txt").touch()
    assert "notes.txt: was not written by this command" in one_line(gfnet(*arguments, "--overwrite"))


ONTO_INPUTS = {
    "convert": (("convert", "run/model.safetensors", "run/model.safetensors", "--half"), "is read"),
    "convert through a link": (("convert", "run/model.safetensors", "link/model.safetensors"), "is read"),
    "calibrate": (("calibrate", "run/model.safetensors", "./run/model.safetensors", "--data", "data"), "is read"),
    "evaluate": (("evaluate", "run/model.safetensors", "--data", "data", "--save", "run/model.safetensors"), "is read"),
    "info": (("info", "run/model.safetensors", "--json", "run/model.safetensors"), "is read"),
    "a photo of a folder": (("predict", "bundle", "data/val", "--json", "data/val/star/PHOTO"), "is read"),
    "a manifest": (("predict", "bundle", "data/val", "--json", "bundle/manifest.json"), "is read"),
    "a manifest that is not read": (("info", "run/model.safetensors", "--json", "bundle/manifest.json"), "is part of"),
    "two at once": (("convert", "run/model.safetensors", "a.safetensors", "--json", "a.safetensors"), "two different"),
    "within what is replaced": (("synth", "out", "--json", "out/result.json"), "lies in out"),
    "a folder": (("info", "run/model.safetensors", "--json", "run"), "is a folder; give a file"),
}


@pytest.mark.parametrize(("arguments", "message"), ONTO_INPUTS.values(), ids=ONTO_INPUTS.keys())
def test_no_file_to_write_is_one_that_is_read(place, arguments, message):
    photo = next((place / "data" / "val" / "star").iterdir()).name
    before = contents(place)
    assert message in one_line(gfnet(*(argument.replace("PHOTO", photo) for argument in arguments)))
    assert contents(place) == before


def test_json_on_standard_output_stands_alone(checkpoint_file):
    plain = gfnet("info", checkpoint_file)
    result = gfnet("info", checkpoint_file, "--json", "-")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["network"] == "test_resnet_p40_T3"
    assert result.stderr == plain.stdout
    assert "test_resnet_p40_T3" in gfnet("info", checkpoint_file).stdout  # only that one command's text is elsewhere


def test_json_is_written_through_links_and_devices(checkpoint_file, tmp_path):
    (tmp_path / "link.json").symlink_to("real.json")
    (tmp_path / "null.json").symlink_to("/dev/null")
    for name in ("link.json", "null.json"):
        assert gfnet("info", checkpoint_file, "--json", tmp_path / name).exit_code == 0
        assert (tmp_path / name).is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["classes"] == 10
    assert Path("/dev/null").is_char_device()


def test_drawings_replace_only_drawings(place):
    photo = next((place / "data" / "val" / "star").iterdir())
    name = f"0000-{photo.stem}.png"
    (place / "mine" / name).write_text("mine")
    draw = ("predict", "bundle", photo, "--draw")
    assert f"{name}: was not written by this command" in one_line(gfnet(*draw, "mine"))
    assert (place / "mine" / name).read_text() == "mine"
    for _ in range(2):
        assert gfnet(*draw, "drawn").exit_code == 0
    found = one_line(gfnet("predict", "bundle", photo, place / "drawn" / name, "--draw", "drawn"))
    assert f"{name}: is read, and would be replaced" in found
    assert "lies in data/val, which is read" in one_line(gfnet("predict", "bundle", "data/val", "--draw", "data/val/x"))


def test_a_report_replaces_only_a_report(place):
    (place / "mine" / "classes.csv").write_text("mine")
    found = one_line(gfnet("evaluate", "run/model.safetensors", "--data", "data", "--report", "mine"))
    assert "mine/classes.csv: was not written by this command" in found
    assert (place / "mine" / "classes.csv").read_text() == "mine"


def test_sigterm_leaves_nothing_half_written(place):
    before = sorted(path.name for path in place.iterdir())
    with subprocess.Popen([GFNET, "synth", "out"], cwd=place, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(place.glob(".out.*/*")):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    assert process.returncode == 143, errors
    assert "gfnet: stopped by SIGTERM; nothing half-written is left" in errors
    assert sorted(path.name for path in place.iterdir()) == before


UNUSED = {
    "arch of an own checkpoint": (("info", "{checkpoint}", "--arch", "resnet50"), "leave out --arch"),
    "steps and arch": (
        ("evaluate", "{checkpoint}", "--data", "{scenes}", "--steps", "5", "--arch", "resnet50"),
        "leave out --arch and --steps",
    ),
    "patch size of a shipped network": (("info", "groceries", "--patch-size", "96"), "leave out --patch-size"),
    "arch of a bundle": (("predict", "{bundle}", "{scenes}/val", "--arch", "resnet50"), "leave out --arch"),
    "arch on export": (
        ("export", "onnx", "{checkpoint}", "--out", "{tmp}/x", "--arch", "resnet50"),
        "leave out --arch",
    ),
    "arch on verify": (("verify", "{bundle}", "--against", "{checkpoint}", "--steps", "3"), "leave out --steps"),
    "provider of a checkpoint": (("predict", "{checkpoint}", "{scenes}/val", "--provider", "cpu"), "ONNX bundles"),
    "logits without JSON": (
        ("predict", "{checkpoint}", "{scenes}/val", "--logits"),
        "--logits applies only with --json",
    ),
    "ranges in float32": (
        ("export", "onnx", "{checkpoint}", "--out", "{tmp}/x", "--ranges", "entropy"),
        "--ranges applies only to --precision int8",
    ),
    "calibration limit in float16": (
        ("export", "onnx", "{checkpoint}", "--out", "{tmp}/x", "--precision", "fp16", "--calibration-limit", "9"),
        "--calibration-limit applies only to --precision int8",
    ),
    "calibration of weights": (
        ("export", "coreml", "{checkpoint}", "--out", "{tmp}/x", "--compress", "int8", "--calibration", "{scenes}/val"),
        "--calibration applies only to --compress w8a8",
    ),
    "seed without random patches": (
        ("evaluate", "{checkpoint}", "--data", "{scenes}", "--seed", "3"),
        "--seed applies only with --patches random",
    ),
    "solver of saved thresholds": (
        ("evaluate", "{checkpoint}", "--data", "{scenes}", "--thresholds", "saved", "--solver", "geometric"),
        "--solver applies only where thresholds are searched for",
    ),
    "search of saved thresholds": (
        ("evaluate", "{checkpoint}", "--data", "{scenes}", "--thresholds", "saved", "--search-images", "5"),
        "--search-images applies only where",
    ),
    "validation shards of a folder that has val": (
        ("evaluate", "{checkpoint}", "--data", "{scenes}", "--val-data", "{tmp}/val.tar"),
        "leave out --val-data",
    ),
    "prefix of our own layout": (
        ("convert", "{checkpoint}", "{tmp}/x.safetensors", "--no-prefix"),
        "--prefix/--no-prefix applies only to a new file in the official layout",
    ),
    "policy's rate in stage 1": (
        ("train", "--data", "{scenes}", "--out", "{tmp}/run", "--stage", "1", "--policy-lr", "1e-3"),
        "--policy-lr applies only to stage 2",
    ),
    "first rate in stage 3": (
        ("train", "--data", "{scenes}", "--out", "{tmp}/run", "--stage", "3", "--initial-lr", "0.1"),
        "--initial-lr applies only to stage 0",
    ),
    "norms in stage 2": (
        ("train", "--data", "{scenes}", "--out", "{tmp}/run", "--set", "stages=2", "--no-freeze-bn"),
        "--freeze-bn/--no-freeze-bn applies only to stages 1 and 3",
    ),
    "resuming a dry run": (("train", "--data", "{scenes}", "--out", "{tmp}/run", "--dry-run", "--resume"), "--resume"),
    "more processes than rounds": (
        ("bench", "onnx", "{bundle}", "--images", "{scenes}/val", "--rounds", "2", "--processes", "3"),
        "--processes applies only up to the number of --rounds",
    ),
    "photos for nothing": (("bench", "core", "--images", "{scenes}/val"), "--images applies only with --checkpoint"),
    "workers for nothing": (("bench", "train", "--workers", "2"), "--workers applies only with --data"),
}


@pytest.mark.parametrize(("arguments", "message"), UNUSED.values(), ids=UNUSED.keys())
def test_an_option_that_would_be_ignored_is_refused(arguments, message, checkpoint_file, onnx_bundle, scenes, tmp_path):
    places = {"checkpoint": checkpoint_file, "scenes": scenes, "bundle": onnx_bundle.folder, "tmp": tmp_path}
    result = gfnet(*(argument.format(**places) for argument in arguments))
    assert message in one_line(result)
    assert not list(tmp_path.iterdir())


def test_asking_for_the_usual_solver_asks_for_a_search(checkpoint_file, scenes):
    asked = ("evaluate", checkpoint_file, "--data", scenes)
    assert "geometric thresholds, from: train" in gfnet(*asked, "--solver", "geometric").output
    assert "stored with the network" in gfnet(*asked).output


HOSTILE = "\x1b[31mred\ngfnet: \u202eall is well"


def test_names_of_files_do_not_act_on_the_terminal(checkpoint_file, scenes, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(next((scenes / "val" / "star").iterdir()), folder / f"{HOSTILE}.png")
    (folder / f"{HOSTILE}2.png").write_text("no picture")
    (folder / os.fsdecode(b"caf\xe9.png")).write_text("no picture")
    result = gfnet("predict", checkpoint_file, folder, "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert r"\x1b[31mred\ngfnet: \u202eall is well.png" in result.stdout
    assert [line for line in result.stderr.splitlines() if r"caf\udce9.png" in line]
    assert not {"\x1b", "\u202e"} & set(result.output)
    assert json.loads((tmp_path / "out.json").read_text())[0]["image"] == str(folder / f"{HOSTILE}.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "{bad}"),
        ("predict", "{bad}", "x.png"),
        ("synth", "o", "--train", "{bad}"),
        ("{bad}",),
        ("info", "--{bad}"),
    ],
)
def test_what_was_typed_does_not_act_on_the_terminal(arguments):
    told = one_line(gfnet(*(argument.format(bad=HOSTILE) for argument in arguments)))
    assert not {"\x1b", "\u202e"} & set(told)


def test_class_names_do_not_act_on_the_terminal(checkpoint, tmp_path):
    labels = (HOSTILE, *(checkpoint.labels or ())[1:])
    save_checkpoint(tmp_path / "hostile.safetensors", dataclasses.replace(checkpoint, labels=labels))
    result = gfnet("info", tmp_path / "hostile.safetensors")
    assert result.exit_code == 0
    assert r"10 (\x1b[31mred\ngfnet: \u202eall is well, " in result.stdout


def test_a_reader_that_leaves_is_no_error(checkpoint_file, scenes, tmp_path):
    read, write = os.pipe()
    os.close(read)
    told = tmp_path / "out.json"
    with open(write, "w") as nobody:
        done = subprocess.run(
            [GFNET, "predict", checkpoint_file, scenes / "val", "--json", told],
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not line.startswith("predict: ")] == []
    assert len(json.loads(told.read_text())) == 40


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("--version",)])
def test_a_reader_that_leaves_help_is_no_error(arguments):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as nobody:
        done = subprocess.run([GFNET, *arguments], stdout=nobody, stderr=subprocess.PIPE, check=False)
    assert done.stderr == b""
    assert done.returncode == 141


def test_an_import_of_our_own_that_fails_is_no_missing_package(checkpoint_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "gfnet.network.cost", None)
    with pytest.raises(ModuleNotFoundError):
        gfnet("info", checkpoint_file)


def test_libraries_warn_nobody_but_a_debugger(checkpoint_file, monkeypatch):
    def warn(*_arguments):
        warnings.warn("overflow in exp", RuntimeWarning, stacklevel=1)
        return (1.0, 2.0, 3.0)

    monkeypatch.setattr("gfnet.network.cost.cumulative_macs", warn)
    assert gfnet("info", checkpoint_file).stderr == ""
    assert "RuntimeWarning" in gfnet("--debug", "info", checkpoint_file).stderr
