from __future__ import annotations

import shutil
import time
from collections import Counter

import numpy as np
import pytest

from gfnet.errors import DataError
from gfnet.inference.images import Preprocessing, find_images, load_image
from gfnet_benchmark.measure import photos as measured_photos
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.run import bench_onnx
from gfnet_benchmark.measure.selection import select_targets

SMALL, LARGE = Preprocessing(32, 36, "bilinear"), Preprocessing(64, 73, "bilinear")


@pytest.fixture
def decoded(monkeypatch):
    """How often each file was decoded, by its name."""
    counts = Counter()

    def counting(path):
        counts[path.name] += 1
        return load_image(path)

    monkeypatch.setattr(measured_photos, "load_image", counting)
    return counts


def files_in(folder, scenes, count):
    """Copies of scenes, which a test may take away."""
    folder.mkdir()
    return [shutil.copy(path, folder / f"{i}.png") for i, path in enumerate(find_images([scenes / "val"])[:count])]


@pytest.mark.slow
def test_a_benchmark_decodes_each_photo_once(onnx_bundle, scenes, decoded, tmp_path, monkeypatch):
    photos = Photos(files_in(tmp_path / "photos", scenes, 4))
    asked = ("test_resnet@96:int8", "test_resnet@64:int8")  # calibrated on the photos
    targets = select_targets(
        [onnx_bundle], photos, tmp_path, baselines=asked, try_settings=True, clock=time.perf_counter
    )
    assert len(decoded) == 4
    dump = measured_photos.Photos.squares

    def squares_without_files(self, preprocessings):
        squares = dump(self, preprocessings)
        for file in self.files:
            file.unlink()  # the measuring processes cannot decode them again
        return squares

    monkeypatch.setattr(measured_photos.Photos, "squares", squares_without_files)
    result = bench_onnx(targets, photos, rounds=2, processes=2, cold=None)
    assert (result.images, result.processes) == (4, 2)
    assert set(decoded.values()) == {1}


def test_photos_beyond_the_bound_are_decoded_again(scenes, decoded, monkeypatch):
    files = find_images([scenes / "val"])[:3]
    photo = load_image(files[0])
    monkeypatch.setattr(measured_photos, "KEPT_BYTES", 3 * photo.width * photo.height)
    photos = Photos(files)
    photos.first(3, SMALL)
    photos.squares([SMALL, LARGE])
    assert [decoded[file.name] for file in files] == [1, 2, 2]


def test_squares_are_those_of_the_preprocessing_and_unreadable_photos_are_named(scenes, odd_images):
    text = odd_images / "text.jpg"
    good = find_images([scenes / "val"])[:2]
    photos = Photos([text, *good])
    assert len(photos.first(1, SMALL)) == 1
    squares = photos.squares([SMALL, LARGE, SMALL])
    assert squares.paths == tuple(good)
    assert [str(text) in message for message in squares.unreadable] == [True]
    for way in (SMALL, LARGE):
        for file, pixels in zip(good, squares.pixels[way], strict=True):
            assert np.array_equal(pixels, way(load_image(file))[None])
    with pytest.raises(DataError, match=r"none of 1 images could be read; the first: .*text\.jpg"):
        Photos([text]).first(1, SMALL)
