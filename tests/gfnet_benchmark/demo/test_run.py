from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file

from gfnet_benchmark.demo.run import DemoConfig, run_demo
from network_support import gfnet, one_line
from page_support import Page

TINY = DemoConfig(train=40, val=20, epochs=(1, 1, 1, 1), baseline_sizes=(40, 64, 120), bench_images=3, examples=1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "demo"
    return out, run_demo(out, config=TINY)


@pytest.mark.slow
def test_the_demo_leaves_every_part_of_the_job(demo):
    out, _ = demo
    for part in (
        "scenes/train",
        "run/config.yaml",
        "run/model.safetensors",
        "baselines/whole-image-64/manifest.json",
        "onnx/manifest.json",
        "coreml/manifest.json",
        "bench.json",
    ):
        assert (out / part).exists(), part


@pytest.mark.slow
def test_the_page_stands_alone_and_its_tags_match(demo):
    out, _ = demo
    page = Page()
    page.feed((out / "report.html").read_text())
    assert page.open == []
    assert page.images >= 1
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)


@pytest.mark.slow
def test_the_page_s_figures_are_those_of_the_json(demo):
    out, summary = demo
    assert json.loads((out / "demo.json").read_text()) == json.loads(json.dumps(summary))
    text = re.sub(r"<svg.*?</svg>", "", (out / "report.html").read_text(), flags=re.S)
    (network,) = (one for one in summary["result"]["subjects"] if one["kind"] == "network")
    assert [one["size"] for one in summary["baselines"]] == [40, 64, 120]
    measured = [one for one in summary["result"]["subjects"] if one["kind"] == "classifier"]
    assert [one["stored_top1"] for one in measured] == [[one["top1"]] for one in summary["baselines"]]
    for value in (
        f"{summary['evaluation']['anytime_top1'][-1]:.1f} %",
        f"{summary['chosen']['mean_macs'] / 1e6:.1f} M",
        *(f"{one['top1']:.1f} %" for one in summary["baselines"]),
        f"{network['loop']['typical_ms']:.2f} ms",
        *(f"{graph['steady']['median_ms']:.3f}" for graph in network["subgraphs"]),
    ):
        assert value in text, value


@pytest.mark.slow
def test_the_same_seed_trains_the_same_network(demo, tmp_path):
    out, summary = demo
    again = run_demo(tmp_path / "again", config=TINY)
    assert again["evaluation"] == summary["evaluation"]
    assert again["random_top1"] == summary["random_top1"]
    weights, weights_again = (load_file(folder / "run/model.safetensors") for folder in (out, tmp_path / "again"))
    assert weights.keys() == weights_again.keys()
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)


@pytest.mark.slow
def test_a_demo_is_replaced_only_when_asked_and_only_what_is_its_own(demo):
    out, _ = demo
    assert "holds an earlier demo" in one_line(gfnet("demo", "--out", out))
    for part in ("scenes/train/mine.png", "onnx/mine.onnx", "pictures/mine.png"):
        (out / part).touch()
        found = one_line(gfnet("demo", "--out", out, "--overwrite"))
        assert f"{out / part}: was not written by this command" in found
        (out / part).unlink()
    (out / "notes.txt").touch()
    run_demo(out, config=TINY, overwrite=True)
    assert (out / "notes.txt").exists()


def test_an_earlier_demo_is_kept_and_so_are_other_files(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    for overwrite in ((), ("--overwrite",)):
        found = one_line(gfnet("demo", "--out", tmp_path, *overwrite))
        assert f"{tmp_path / 'report.html'}: was not written by this command" in found
    assert (tmp_path / "report.html").read_text() == "mine"
    assert "seed -1" in one_line(gfnet("demo", "--out", tmp_path, "--overwrite", "--seed", "-1"))
    assert len(list(tmp_path.iterdir())) == 2
