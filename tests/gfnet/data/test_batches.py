from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import torch
from PIL import Image

from gfnet.data import FolderSplit, open_split
from gfnet.data.batches import Batches, Draw, PixelDataset, TrainingBatches
from gfnet.distributed import Ranks
from gfnet.errors import DataError, ImageError
from network_support import SMALL, photograph, write_odd_images


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


def training(scenes, augmentation="flip", **options):
    dataset = PixelDataset(open_split(scenes / "train"), SMALL, augmentation=augmentation, keep=True)
    return TrainingBatches(dataset, 16, **options)


def same(first, second):
    return all(
        torch.equal(a.pixels, b.pixels) and torch.equal(a.labels, b.labels) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("augmentation", ["flip", "crop", "jitter"])
def test_an_epoch_is_a_function_of_its_seed(scenes, augmentation):
    batches = training(scenes, augmentation)
    first, again, other = list(batches.epoch(1)), list(batches.epoch(1)), list(batches.epoch(2))
    assert len(first) == len(batches) == 4  # 60 images
    assert same(first, again)
    assert not same(first, other)
    assert first[0].pixels.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_in_the_middle_as_if_it_had_not_stopped(scenes, workers):
    later = training(scenes, "crop", workers=workers).epoch(1, start=2)
    assert same(list(training(scenes, "crop").epoch(1))[2:], list(later))


def test_ranks_share_the_batches_of_one_rank(scenes):
    whole = list(training(scenes, "crop").epoch(5))
    shares = [training(scenes, "crop", ranks=Ranks(rank, 3)).epoch(5) for rank in range(3)]
    for batch, parts in zip(whole, zip(*shares, strict=True), strict=True):
        assert torch.equal(torch.cat([part.places for part in parts]), batch.places)
        assert torch.equal(torch.cat([part.pixels for part in parts]), batch.pixels)
        assert [part.total for part in parts] == [batch.total] * 3
        assert sum(part.share for part in parts) == pytest.approx(1)


def test_a_batch_is_divided_into_parts_that_know_their_places(scenes):
    batch = next(training(scenes).epoch(0))
    parts = batch.divided(3)
    assert [len(part.labels) for part in parts] == [6, 5, 5]
    assert torch.equal(torch.cat([part.places for part in parts]), torch.arange(16))
    assert len(batch.divided(100)) == 16


def test_all_ranks_divide_their_shares_into_equally_many_parts(scenes):
    dataset = PixelDataset(open_split(scenes / "train"), SMALL)
    counts = [
        [len(batch.divided(3)) for batch in TrainingBatches(dataset, 11, Ranks(rank, 4)).epoch(0)] for rank in range(4)
    ]
    assert all(ours == counts[0] for ours in counts)
    assert counts[0][0] == 2  # shares of two and three images


def test_half_of_the_images_are_mirrored_and_the_kept_pixels_stay(scenes):
    batches = training(scenes)
    dataset = batches.dataset
    still = [dataset[i].pixels.copy() for i in range(len(dataset))]
    mirrored = sum(np.array_equal(dataset[Draw(i, i)].pixels, still[i][:, ::-1]) for i in range(len(dataset)))
    assert mirrored == len(dataset) // 2
    assert all(np.array_equal(dataset[i].pixels, still[i]) for i in range(len(dataset)))


def test_random_crops_differ_by_seed_and_leave_torch_s_generator_alone(tmp_path):
    (tmp_path / "thing").mkdir()
    photograph(300, 200).save(tmp_path / "thing" / "a.png")
    dataset = PixelDataset(open_split(tmp_path), SMALL, augmentation="crop", keep=True)
    state = torch.random.get_rng_state()
    first, again, other = (dataset[Draw(0, seed)].pixels for seed in (4, 4, 6))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.shape == (SMALL.image_size, SMALL.image_size, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_jitter_changes_colours_besides(tmp_path):
    (tmp_path / "thing").mkdir()
    Image.new("RGB", (120, 90), (200, 100, 50)).save(tmp_path / "thing" / "a.png")  # crops of it are all alike
    split = open_split(tmp_path)
    for seed in (4, 6, 8):
        crop, jitter = (
            PixelDataset(split, SMALL, augmentation=name)[Draw(0, seed)].pixels for name in ("crop", "jitter")
        )
        assert (crop == crop[0, 0]).all()
        assert (jitter == jitter[0, 0]).all()
        assert (crop[0, 0] != jitter[0, 0]).any()


def test_random_crops_keep_at_least_the_share_that_was_asked_for(tmp_path):
    (tmp_path / "thing").mkdir()
    ramp = np.broadcast_to(np.arange(250, dtype=np.uint8)[:, None], (250, 250))
    Image.fromarray(ramp).save(tmp_path / "thing" / "a.png")
    split = open_split(tmp_path)

    def heights(least: float) -> list[int]:
        dataset = PixelDataset(split, SMALL, augmentation="crop", least_crop=least)
        drawn = [dataset[Draw(0, 2 * seed)].pixels for seed in range(40)]
        return [int(pixels.max()) - int(pixels.min()) for pixels in drawn]

    # An aspect of up to 4/3 may cut the height to 0.87 of the square's.
    assert min(heights(0.9)) > 0.95 * 0.86 * 250 - 8
    assert min(heights(0.05)) < 0.5 * 250


def test_random_crops_are_of_the_family_s_own_size_and_interpolation(tmp_path):
    (tmp_path / "thing").mkdir()
    photograph(400, 400).save(tmp_path / "thing" / "a.png")
    split = open_split(tmp_path)
    crops = {}
    for interpolation in ("bilinear", "bicubic"):
        config = dataclasses.replace(SMALL, image_size=120, interpolation=interpolation)
        crops[interpolation] = PixelDataset(split, config, augmentation="crop")[Draw(0, 4)].pixels
        assert crops[interpolation].shape == (120, 120, 3)
    assert not np.array_equal(crops["bilinear"], crops["bicubic"])


def test_training_takes_the_next_readable_image_for_a_broken_one(tmp_path):
    write_odd_images(tmp_path / "thing")
    (tmp_path / "thing" / "palette.gif").unlink()
    split = open_split(tmp_path)
    batches = TrainingBatches(PixelDataset(split, SMALL), 4)
    assert len(split) == 11
    assert [len(batch.labels) for epoch in range(2) for batch in batches.epoch(epoch)] == [4, 4, 3] * 2
    assert len(batches.unreadable) == 3


def test_a_split_without_a_readable_image_is_refused(tmp_path):
    (tmp_path / "thing").mkdir()
    for name in "abc":
        (tmp_path / "thing" / f"{name}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of its images could be read"):
        list(TrainingBatches(PixelDataset(open_split(tmp_path), SMALL), 2).epoch(0))


def test_too_few_images_for_the_ranks_are_refused(scenes):
    dataset = PixelDataset(open_split(scenes / "val"), SMALL)
    with pytest.raises(DataError, match="too few"):
        TrainingBatches(dataset, 100, Ranks(0, 50))


class DyingSplit(FolderSplit):
    """Ends the process that decodes its fifth image."""

    def load(self, index):
        if index == 5:
            os._exit(1)
        return super().load(index)


def test_a_decoding_process_that_dies_is_an_error_and_no_traceback(scenes):
    split = open_split(scenes / "train")
    dataset = PixelDataset(DyingSplit(split.root, split.classes, split.samples), SMALL)
    with pytest.raises(DataError, match="a decoding process died"):
        list(TrainingBatches(dataset, 16, workers=1).epoch(0))
