from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from gfnet.data import Batches, PixelDataset, open_split, open_splits
from gfnet.errors import DataError, ImageError
from network_support import SMALL, photograph, write_odd_images


@pytest.fixture
def copy(scenes, tmp_path):
    return shutil.copytree(scenes, tmp_path / "scenes")


def test_differing_classes_are_refused_with_their_names(copy):
    shutil.rmtree(copy / "val" / "star")
    with pytest.raises(DataError, match=r"only in train: \['star'\]"):
        open_splits(copy)


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


def test_unreadable_images_are_left_out_and_named_once(tmp_path):
    write_odd_images(tmp_path / "thing")
    batches = Batches(PixelDataset(open_split(tmp_path), SMALL), 4)
    for _ in range(2):
        assert sum(len(labels) for _, labels in batches) == len(batches.dataset) - 3
    assert sorted(message.split(":")[0].rsplit("/", 1)[1] for message in batches.unreadable) == [
        "empty.png",
        "text.jpg",
        "truncated.jpg",
    ]


def test_strict_stops_at_the_first_unreadable_image(tmp_path):
    write_odd_images(tmp_path / "thing")
    with pytest.raises(ImageError, match=r"empty\.png"):
        list(Batches(PixelDataset(open_split(tmp_path), SMALL), 4, strict=True))


def test_batches_are_pixels_in_channels_last_order(scenes):
    pixels, labels = next(iter(Batches(PixelDataset(open_split(scenes / "val"), SMALL), 8)))
    assert pixels.shape == (8, 3, 96, 96)
    assert pixels.dtype == torch.uint8
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_same_seed_shuffles_and_flips_alike(scenes):
    def epoch(seed):
        dataset = PixelDataset(open_split(scenes / "train"), SMALL, keep=True)
        batches = Batches(dataset, 16, torch.Generator().manual_seed(seed), flip=True)
        return [(pixels.clone(), labels) for pixels, labels in batches]

    first, again, other = epoch(1), epoch(1), epoch(2)
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_flips_do_not_reach_the_kept_pixels(scenes):
    dataset = PixelDataset(open_split(scenes / "train"), SMALL, keep=True)
    still = [pixels.copy() for pixels, _ in (dataset[i] for i in range(len(dataset)))]
    list(Batches(dataset, 16, torch.Generator().manual_seed(0), flip=True))
    assert all(np.array_equal(dataset[i][0], still[i]) for i in range(len(dataset)))


def test_random_crops_differ_each_time(tmp_path):
    (tmp_path / "thing").mkdir()
    photograph(300, 200).save(tmp_path / "thing" / "a.png")
    dataset = PixelDataset(open_split(tmp_path), SMALL, augmentation="crop", keep=True)
    assert not np.array_equal(dataset[0][0], dataset[0][0])
