from __future__ import annotations

import json
import shutil

import pytest

from gfnet.images import find_images
from gfnet.measurement import read_result
from gfnet_benchmark.onnx_bench import bench_onnx, result_table
from network_support import gfnet, one_line


def test_the_command_writes_a_result_that_can_be_read_again(onnx_bundle, scenes, tmp_path):
    out = tmp_path / "result.json"
    arguments = ("bench", "onnx", onnx_bundle.folder, "--images", scenes / "val", "--limit", "6", "--rounds", "3")
    done = gfnet(*arguments, "--json", out)
    assert done.exit_code == 0, done.output
    result = read_result(out)
    assert (result.images, result.rounds, result.warmup_rounds) == (6, 3, 1)
    assert {graph.name: graph.steady.count for graph in result.subgraphs} == {
        "glance": 18,
        "policy": 36,
        "focus_2": 18,
        "focus_3": 18,
    }
    assert result.loop.latency.count == 18
    assert sum(result.loop.exit_distribution) == pytest.approx(1)
    assert result.baseline is not None
    assert result.baseline.steady.count == 18
    assert result.loop.ratio_to_baseline is not None
    for name in ("glance", "policy", "focus_2", "focus_3", "baseline", "adaptive loop", "mean latency", "exits"):
        assert name in done.output


def test_times_come_from_the_clock(onnx_bundle, scenes):
    # Every reading is one second after the last, so every single call takes one second.
    ticks = iter(range(10**9))
    photos = find_images([scenes / "val"])[:2]
    result = bench_onnx(onnx_bundle, photos, thresholds=None, rounds=2, clock=lambda: float(next(ticks)))
    assert {graph.steady.median_ms for graph in result.subgraphs} == {1000.0}
    assert {graph.load_ms for graph in result.subgraphs} == {1000.0}
    assert result.loop.latency.mean_ms == 1000.0
    assert result.loop.ratio_to_baseline == 1.0
    assert result.loop.exit_distribution == (0, 0, 1)


def test_all_steps_costs_the_sum_of_its_steps_at_least(onnx_bundle, scenes):
    result = bench_onnx(onnx_bundle, find_images([scenes / "val"])[:5], thresholds=None, rounds=4)
    times = {graph.name: graph.steady.median_ms for graph in result.subgraphs}
    assert result.loop.latency.median_ms > 0.8 * (
        times["glance"] + 2 * times["policy"] + times["focus_2"] + times["focus_3"]
    )
    assert "adaptive / baseline" in result_table(result)


def test_unreadable_images_are_listed_and_exit_1(onnx_bundle, odd_images, tmp_path):
    out = tmp_path / "result.json"
    done = gfnet("bench", "onnx", onnx_bundle.folder, "--images", odd_images, "--rounds", "1", "--json", out)
    assert done.exit_code == 1
    assert len(json.loads(out.read_text())["unreadable"]) == 3
    assert "3 images could not be read" in done.stderr


def test_nothing_to_measure_is_refused(onnx_bundle, odd_images, scenes, tmp_path):
    shutil.copy(odd_images / "text.jpg", tmp_path / "text.jpg")
    assert "none of 1 images could be read" in one_line(
        gfnet("bench", "onnx", onnx_bundle.folder, "--images", tmp_path)
    )
    arguments = ("bench", "onnx", onnx_bundle.folder, "--images", scenes / "val")
    assert "0 rounds" in one_line(gfnet(*arguments, "--rounds", "0"))
    assert "too few" in one_line(gfnet(*arguments, "--limit", "0"))
