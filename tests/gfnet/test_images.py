from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from gfnet.errors import DataError, ImageError
from gfnet.images import Preprocessing, every_nth, find_images, load_image
from network_support import READABLE, UNREADABLE, photograph

FILTERS = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def file_of(folder, stem):
    return next(folder.glob(f"{stem}.*"))


@pytest.mark.parametrize("kind", READABLE)
def test_every_readable_kind_becomes_eight_bit_rgb(odd_images, kind):
    assert load_image(file_of(odd_images, kind)).mode == "RGB"


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_file_is_named(odd_images, kind):
    path = file_of(odd_images, kind)
    with pytest.raises(ImageError, match=path.name):
        load_image(path)


@pytest.mark.parametrize("kind", READABLE)
def test_bytes_are_read_like_their_file(odd_images, kind):
    path = file_of(odd_images, kind)
    np.testing.assert_array_equal(np.asarray(load_image(path.read_bytes())), np.asarray(load_image(path)))


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_bytes_are_called_by_the_given_name(odd_images, kind):
    with pytest.raises(ImageError, match=r"^shard: one\.png: "):
        load_image(file_of(odd_images, kind).read_bytes(), "shard: one.png")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.png: no such file"):
        load_image(tmp_path / "nowhere.png")


def test_exif_orientation_is_honoured(odd_images):
    assert load_image(file_of(odd_images, "rotated")).size == (90, 120)


def test_sixteen_bits_are_scaled_not_clipped(odd_images):
    deep = np.asarray(load_image(file_of(odd_images, "deep")))
    grey = np.asarray(load_image(file_of(odd_images, "grey")))
    np.testing.assert_array_equal(deep, grey)


def test_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert np.asarray(load_image(clear)).min() == 255


def test_arrays_and_tensors_are_read_like_the_picture_they_hold():
    picture = photograph(40, 30)
    pixels = np.asarray(picture)
    planes = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    for source in (picture, pixels, planes, planes.float() / 255, pixels.astype(np.float64) / 255):
        np.testing.assert_array_equal(np.asarray(load_image(source)), pixels)


@pytest.mark.parametrize(
    "array", [np.full((8, 8, 3), 2.0), np.full((8, 8, 3), np.nan), np.zeros((0, 4, 3), np.uint8), np.zeros(5, np.uint8)]
)
def test_an_array_that_is_no_image_is_refused(array):
    with pytest.raises(ImageError, match="cannot be read as an image"):
        load_image(array)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(320, 256), (240, 300), (224, 224), (333, 500), (57, 31), (256, 256), (257, 256)])
def test_preprocessing_equals_torchvision(size, interpolation):
    picture = photograph(*size, seed=size[0])
    reference = transforms.Compose(
        [transforms.Resize(256, interpolation=FILTERS[interpolation]), transforms.CenterCrop(224)]
    )
    ours = Preprocessing(224, 256, interpolation)(picture)
    np.testing.assert_array_equal(ours, np.asarray(reference(picture)))


@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1), (1, 1), (3, 2_000)])
def test_extreme_shapes_need_no_extreme_memory(size):
    picture = photograph(*size)
    assert Preprocessing(224, 256, "bilinear")(picture).shape == (224, 224, 3)


def test_the_direct_crop_of_long_images_shows_the_same_region():
    # 10:1 takes the direct path; sampling only the kept region must agree with resizing everything.
    picture = photograph(900, 90)
    whole = picture.resize((2560, 256), Image.Resampling.BILINEAR).crop((1168, 16, 1392, 240))
    direct = Preprocessing(224, 256, "bilinear")(picture)
    assert np.abs(direct.astype(int) - np.asarray(whole).astype(int)).max() <= 1


def test_folders_are_searched_and_files_taken_as_they_are(odd_images):
    found = find_images([odd_images, odd_images / "text.jpg"])
    assert len(found) == len(READABLE) + len(UNREADABLE) + 1


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no images in this folder"):
        find_images([tmp_path])


def test_a_missing_source_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        find_images([tmp_path / "nowhere"])


def test_every_nth_spreads_over_the_whole_list():
    assert every_nth(range(100), 3) == [0, 49, 99]
    assert every_nth([1, 2], 5) == [1, 2]
    with pytest.raises(DataError, match="too few"):
        every_nth([1, 2], 0)


def test_what_a_folder_holds_besides_images_is_named(tmp_path, caplog):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for name in ("b.mov", "c.txt", "d\x1b.doc", "e.pdf", ".DS_Store", "._a.png"):
        (tmp_path / name).write_text("x")
    (tmp_path / "loop").symlink_to(".")
    assert find_images([tmp_path]) == [tmp_path / "a.png"]
    (told,) = caplog.messages
    assert told == f"{tmp_path}: passed over 4 files that are not pictures: b.mov, c.txt, d\\x1b.doc and 1 more"
