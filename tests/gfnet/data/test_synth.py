from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gfnet.data import open_splits
from gfnet.data.synth import CLASSES, SceneConfig, draw_scene, write_scenes
from gfnet.errors import ConfigError, GFNetError
from gfnet.inference.images import load_image


def digest(folder):
    files = sorted(path for path in folder.rglob("*.png"))
    return [(path.relative_to(folder), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def test_the_same_seed_gives_the_same_files(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_scenes(tmp_path / name, train=20, val=10, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_a_scene_does_not_depend_on_how_many_there_are(tmp_path):
    write_scenes(tmp_path / "few", train=10, val=10)
    write_scenes(tmp_path / "many", train=30, val=10)
    assert set(digest(tmp_path / "few")) < set(digest(tmp_path / "many"))


def test_the_result_is_an_image_folder_with_equal_classes(scenes):
    train, val = open_splits(scenes)
    assert train.classes == val.classes == CLASSES
    assert len(train.samples) == 60
    assert {label: sum(other == label for _, other in train.samples) for label in range(10)} == dict.fromkeys(
        range(10), 6
    )
    assert load_image(train.samples[0][0]).size == (96, 96)


def test_a_third_of_the_badges_are_large():
    config = SceneConfig()
    pale = [(np.asarray(draw_scene(0, np.random.default_rng(i), config)).min(axis=2) > 190).mean() for i in range(150)]
    # A large badge covers at least pi/4 * 0.42^2 = 14 % of the scene, its ink aside; a small one at most 1 %.
    share = np.mean(np.array(pale) > 0.05)
    assert 0.23 < share < 0.43


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": 9}, "9 train scenes"),
        ({"val": 0}, "0 val scenes"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_impossible_requests_are_refused(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        write_scenes(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_scenes_too_small_to_draw_are_refused():
    with pytest.raises(ConfigError, match="too small"):
        SceneConfig(size=20)


def test_an_existing_folder_is_not_touched(tmp_path):
    write_scenes(tmp_path / "out", train=10, val=10)
    before = digest(tmp_path / "out")
    with pytest.raises(GFNetError, match="--overwrite"):
        write_scenes(tmp_path / "out", train=10, val=10, seed=9)
    assert digest(tmp_path / "out") == before
