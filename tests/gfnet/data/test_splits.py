from __future__ import annotations

import shutil

import numpy as np
import pytest

from gfnet.data import open_dataset, open_split, open_splits
from gfnet.data.classes import with_classes
from gfnet.data.packing import pack_folder
from gfnet.errors import DataError


@pytest.fixture
def copy(scenes, tmp_path):
    return shutil.copytree(scenes, tmp_path / "scenes")


def test_differing_classes_are_refused_with_their_names(copy):
    shutil.rmtree(copy / "val" / "star")
    with pytest.raises(DataError, match=r"only in train: \['star'\]"):
        open_splits(copy)


def test_a_split_with_some_of_the_classes_is_numbered_by_all_of_them(copy):
    shutil.rmtree(copy / "val" / "bars")
    part, whole = open_split(copy / "val"), open_split(copy / "train")
    found = with_classes(part, whole)
    assert found.classes == whole.classes
    names = [path.split("/")[-2] for path, _ in part.samples]
    assert [whole.classes[label] for label in found.labels] == names
    assert with_classes(whole, whole) is whole


def test_a_split_with_a_class_too_many_cannot_be_numbered(copy):
    shutil.rmtree(copy / "val" / "bars")
    with pytest.raises(DataError, match=r"other classes than in .*val .only here: .'bars'"):
        with_classes(open_split(copy / "train"), open_split(copy / "val"))


def test_a_class_without_images_is_refused_by_name(copy):
    for path in (copy / "train" / "ring").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no images in class folder ring"):
        open_splits(copy)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        open_splits(tmp_path / "nowhere")
    with pytest.raises(DataError, match="train: no such folder"):
        open_splits(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        open_splits(tmp_path)


@pytest.fixture(scope="module")
def shards(scenes, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "shards"
    pack_folder(scenes, out, shard_images=16)
    return out


@pytest.mark.parametrize("spec", ["", "train-{000000..000003}.tar", "train-*.tar"])
def test_shards_are_a_dataset_like_the_folder_they_were_packed_from(scenes, shards, spec):
    train, val = open_dataset(shards / spec)
    folder, _ = open_dataset(scenes)
    assert (len(train), len(val)) == (60, 40)
    assert train.classes == val.classes == folder.classes
    assert sorted(train.labels) == sorted(folder.labels)
    packed = {np.asarray(train.load(i)).tobytes() for i in range(len(train))}
    assert packed == {np.asarray(folder.load(i)).tobytes() for i in range(len(folder))}
    assert sorted(train.order(np.random.default_rng(0))) == list(range(60))


def test_validation_shards_may_lie_elsewhere(shards, tmp_path):
    shutil.copytree(shards, tmp_path / "val")
    shutil.copytree(shards, tmp_path / "train")
    for path in (tmp_path / "train").glob("val-*"):
        path.unlink()
    spec = tmp_path / "train" / "train-{000000..000003}.tar"
    with pytest.raises(DataError, match=r"no validation shards val-.*pass --val-data"):
        open_dataset(spec)
    assert len(open_dataset(spec, tmp_path / "val" / "val-*.tar")[1]) == 40


def test_shards_without_class_names_are_called_by_number(shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "shards")
    (copy / "classes.json").unlink()
    train, val = open_dataset(copy)
    assert train.classes == val.classes == tuple("0123456789")
