from __future__ import annotations

import json

import pytest

from gfnet_benchmark.internals.training import PARTS
from network_support import gfnet, one_line


@pytest.mark.parametrize("stage", [1, 2])
def test_an_iteration_s_time_is_divided_into_its_parts(scenes, tmp_path, stage):
    result = gfnet(
        *("bench", "train", "--arch", "test_resnet", "--patch-size", "64", "--batch-size", "8", "--rounds", "1"),
        *("--stage", str(stage), "--data", scenes, "--json", tmp_path / "bench.json"),
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "bench.json").read_text())
    (timing,) = found["stages"]
    shares = timing["shares"]
    assert set(shares) == set(PARTS)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
    assert all(0 <= share < 1 for share in shares.values())
    for part in ("encoders", "cropping", "optimiser"):
        assert shares[part] > 0, part
    assert (shares["policy and PPO"] > 0) == (stage == 2)
    assert timing["images_per_second"] > 0
    assert timing["over_plain"] > 0
    assert found["loading_images_per_second"] > 0


def test_unknown_backbones_are_refused():
    assert "neither an official backbone nor a timm model" in one_line(gfnet("bench", "train", "--arch", "nothing"))
