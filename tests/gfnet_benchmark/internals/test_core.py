from __future__ import annotations

import itertools
import json

import pytest
import torch

from gfnet.inference.images import find_images
from gfnet.network.patches import crop_patches
from gfnet_benchmark.internals.core import bench_harness, bench_overhead, bench_threshold_search, crop_in_a_loop
from network_support import gfnet, one_line


def test_both_ways_to_crop_give_the_same_patches():
    images = torch.rand(9, 3, 40, 40)
    origins = torch.randint(0, 21, (9, 2))
    assert torch.equal(crop_in_a_loop(images, origins, 20), crop_patches(images, origins, 20))


def test_the_search_over_many_samples_stays_small():
    # 200,000 samples, five steps, 39 budgets; a Python loop over samples keeps gigabytes of softmax outputs.
    assert bench_threshold_search()["peak_mb"] < 200


def test_overhead_is_what_lies_outside_the_sessions(onnx_bundle, scenes):
    # Each look at the clock is a tick: a session lasts one, and one lies before, between and after them.
    ticks = itertools.count()
    photo = find_images([scenes / "val"])[0]
    assert bench_overhead(onnx_bundle, photo, rounds=2, clock=lambda: next(ticks)) == {
        "all_steps": pytest.approx(1 - 5 / 11),  # glance, then policy and focus twice
        "glance_only": pytest.approx(1 - 1 / 3),
    }


def test_what_measuring_adds_to_an_empty_subgraph_is_known():
    figures = bench_harness(rounds=20)
    assert set(figures) == {"empty_call_us", "added_us"}
    assert figures["empty_call_us"] > 0


@pytest.mark.slow
def test_the_command_measures_every_hot_path(checkpoint_file, onnx_bundle, scenes, tmp_path):
    out = tmp_path / "core.json"
    done = gfnet(
        *("bench", "core", "--checkpoint", checkpoint_file, "--bundle", onnx_bundle.folder),
        *("--images", scenes / "val", "--json", out),
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(out.read_text())
    assert set(figures) == {"cropping", "threshold_search", "harness", "adaptive", "first_photo", "overhead"}
    assert all(value > 0 for group in figures.values() for value in group.values())


def test_photos_are_asked_for(checkpoint_file):
    assert "pass --images" in one_line(gfnet("bench", "core", "--checkpoint", checkpoint_file))
