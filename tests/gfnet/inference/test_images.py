from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from gfnet.errors import DataError, ImageError
from gfnet.files.formats import IMAGE_FORMATS, IMAGE_SUFFIXES
from gfnet.inference import images
from gfnet.inference.images import (
    MAX_PIXELS,
    Preprocessing,
    check_size,
    every_nth,
    find_images,
    load_image,
)
from network_support import READABLE, UNREADABLE, photograph
from picture_support import (
    DISPLAY_P3,
    POSTSCRIPT,
    adobe_rgb,
    chunk,
    cmyk_profile,
    encoded,
    exif,
    grey_profile,
    png,
)
from swift_support import FIXTURES

SIZES = json.loads((FIXTURES / "photos.json").read_text())["sizes"]
FILTERS = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def file_of(folder, stem):
    return next(folder.glob(f"{stem}.*"))


def levels_off(found, wanted):
    return np.abs(np.asarray(found).astype(int) - np.asarray(wanted).astype(int)).max()


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


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "size", [(17, 300), (300, 17), (9, 74), (900, 90), (1, 64), (64, 1), (5, 320), (1, 1), (7, 433)]
)
def test_long_pictures_are_resized_as_torchvision_does(size, interpolation):
    test_preprocessing_equals_torchvision(size, interpolation)


def test_preprocessing_refuses_what_would_take_memory_out_of_proportion():
    with pytest.raises(ImageError, match="more than 64 times as long as wide"):
        Preprocessing(224, 256, "bilinear")(photograph(1, 65))


@pytest.mark.parametrize("case", SIZES, ids=lambda case: f"{case['width']}x{case['height']}")
def test_sizes_are_refused_as_on_the_phone(case):
    size = case["width"], case["height"]
    if case["accepted"]:
        check_size(*size, "x.png")
    else:
        with pytest.raises(ImageError, match=r"^x\.png: "):
            check_size(*size, "x.png")


@pytest.mark.parametrize("kind", [kind for kind in IMAGE_FORMATS if kind != "HEIF"])
def test_every_listed_format_is_read_under_any_name(tmp_path, kind):
    picture = photograph(40, 30)
    content = encoded(picture, kind)
    for name in ("x.jpg", "x.heic", "x"):
        (tmp_path / name).write_bytes(content)
        found = np.asarray(load_image(tmp_path / name)).astype(int)
        assert np.abs(found - np.asarray(picture)).mean() < 8  # lossy formats, and a GIF's palette


def test_the_list_of_suffixes_has_what_phones_and_browsers_write():
    known = ".jpg .jpeg .jfif .png .gif .webp .avif .heic .heif .jp2 .j2k .bmp .tif .tiff .pgm .ppm"
    assert set(known.split()) <= IMAGE_SUFFIXES
    Image.init()
    pillows = {suffix for suffix, kind in Image.EXTENSION.items() if kind in (*IMAGE_FORMATS, "MPO")}
    assert pillows - IMAGE_SUFFIXES == {".pfm"}  # floating-point pixels, which are refused


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "TGA", "PCX", "SGI", "DDS", "QOI", "ICNS"])
@pytest.mark.parametrize("suffix", [".jpg", ".eps", ""])
def test_no_other_format_is_opened_whatever_the_name_says(tmp_path, kind, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(encoded(photograph(16, 16), kind))
    with pytest.raises(ImageError, match="not an image that can be read"):
        load_image(path)


def test_pictures_are_opened_in_one_place():
    root = Path(images.__file__).parents[2]
    sources = [path for folder in ("gfnet", "export", "benchmark") for path in (root / folder).rglob("*.py")]
    opening = re.compile(r"Image\.open\(|imread\(|read_image\(|decode_image\(|default_loader")
    assert [path.name for path in sources if opening.search(path.read_text())] == ["images.py"]


def test_postscript_reaches_no_other_program(tmp_path, monkeypatch):
    def run(*command, **options):
        raise AssertionError(f"{command} was run")

    monkeypatch.setattr(subprocess, "Popen", run)
    for name in ("x.jpg", "x.eps", "x.ps"):
        (tmp_path / name).write_bytes(POSTSCRIPT)
        with pytest.raises(ImageError, match="not an image that can be read"):
            load_image(tmp_path / name)


def heif(picture, **options):
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(picture).save(file, **options)
    return file.getvalue()


def test_heic_is_read_with_its_colours():
    flat = Image.new("RGB", (64, 48), (200, 100, 50))
    assert levels_off(load_image(heif(flat, quality=100)), flat) <= 4
    coded = heif(flat, quality=100, color_primaries=12, transfer_characteristics=13, save_nclx_profile=True)
    flat.info["icc_profile"] = DISPLAY_P3
    for content in (coded, heif(flat, quality=100)):
        assert levels_off(load_image(content), np.full((48, 64, 3), (215, 93, 31))) <= 5
    assert "HEIF" not in Image.OPEN  # other programs' Pillow is left alone


def test_heic_with_hdr_is_refused_in_words():
    content = heif(photograph(64, 48), color_primaries=9, transfer_characteristics=16, save_nclx_profile=True)
    with pytest.raises(ImageError, match=r"^image: its pixels are HDR \(PQ\); convert"):
        load_image(content)


def test_damaged_heic_is_refused():
    content = heif(photograph(64, 48))
    with pytest.raises(ImageError, match=r"^x: damaged \("):
        load_image(content[: len(content) // 2], "x")


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_heic_without_its_reader_is_one_line_that_names_the_extra(monkeypatch, brand):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"^IMG_1\.HEIC: HEIC is read with pillow-heif.*gfnet\[heic\]"):
        load_image(b"\0\0\0\x18ftyp" + brand + bytes(100), "IMG_1.HEIC")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_embedded_profiles_are_followed_in_every_format(kind):
    options = {} if kind in ("PNG", "TIFF") else {"quality": 100}
    flat = Image.new("RGB", (64, 64), (200, 100, 50))
    for profile, right in ((None, (200, 100, 50)), (DISPLAY_P3, (215, 93, 31)), (adobe_rgb(), (227, 100, 43))):
        found = load_image(encoded(flat, kind, icc_profile=profile, **options))
        assert levels_off(found, np.full((64, 64, 3), right)) <= 4
    assert not found.info


def test_a_cmyk_photo_s_profile_is_followed():
    black = Image.new("CMYK", (16, 16), (255, 255, 255, 255))
    half = Image.new("CMYK", (16, 16), (255, 255, 0, 0))
    for picture, right in ((black, 0), (half, 119)):
        found = load_image(encoded(picture, "JPEG", quality=100, icc_profile=cmyk_profile()))
        assert levels_off(found, np.full((16, 16, 3), right)) <= 4


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "L", "CMYK", "1"])
def test_profiles_are_followed_in_every_mode(mode):
    picture = Image.new("RGBA", (8, 8), (200, 100, 50, 255)).convert(mode)
    profile = {"L": grey_profile(1.0), "LA": grey_profile(1.0), "CMYK": cmyk_profile()}.get(mode, DISPLAY_P3)
    plain = load_image(picture)
    picture.info["icc_profile"] = profile
    assert (levels_off(load_image(picture), plain) > 10) == (mode != "1")


def test_a_converted_picture_is_not_converted_again():
    picture = load_image(encoded(photograph(40, 30), "PNG", icc_profile=DISPLAY_P3))
    np.testing.assert_array_equal(np.asarray(load_image(picture)), np.asarray(picture))
    np.testing.assert_array_equal(np.asarray(load_image(encoded(picture, "PNG"))), np.asarray(picture))


def test_a_picture_that_is_given_stays_as_it_was():
    picture = photograph(40, 30)
    picture.info["icc_profile"] = DISPLAY_P3
    before = picture.tobytes()
    load_image(picture)
    assert picture.tobytes() == before
    assert picture.info["icc_profile"] == DISPLAY_P3


ORIENTED = (0x0112, 3, 1, b"\6\0\0\0")
DAMAGED_EXIF = {
    "no tiff": b"Exif\0\0junk" + bytes(range(200)),
    "cut": b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    "far": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "zero": exif((0x0112, 3, 1, bytes(4))),
    "nine": exif((0x0112, 3, 1, b"\x09\0\0\0")),
    "text": exif((0x0112, 2, 4, b"6\0\0\0")),
    "type": exif((0x0112, 77, 1, b"\6\0\0\0")),
    "resolution": exif((0x011A, 5, 1, b"\xff\xff\xff\xff"), (0x0128, 3, 1, b"\2\0\0\0")),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("damage", DAMAGED_EXIF)
def test_damaged_exif_turns_nothing_and_warns_of_nothing(kind, damage, recwarn):
    warnings.simplefilter("error")
    content = encoded(photograph(40, 30), kind, exif=DAMAGED_EXIF[damage])
    warnings.simplefilter("always")
    assert load_image(content).size == (40, 30)
    assert not recwarn.list


def test_orientation_is_applied_though_another_entry_is_damaged(recwarn):
    damaged = exif(ORIENTED, (0x010E, 2, 0x7FFFFFFF, b"\xff\xff\xff\x7f"))
    assert load_image(encoded(photograph(40, 30), "JPEG", exif=damaged)).size == (30, 40)
    assert not recwarn.list


def test_orientation_is_applied_out_of_a_large_exif_and_out_of_xmp():
    large = exif(ORIENTED) + bytes(5_000_000)
    assert load_image(encoded(photograph(40, 30), "PNG", exif=large)).size == (30, 40)
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>')
    assert load_image(encoded(photograph(40, 30), "PNG", pnginfo=text)).size == (30, 40)


@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_shows_the_same_picture(value):
    upright = photograph(40, 30)
    turned = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p),
        7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[value](np.asarray(upright))
    stored = encoded(Image.fromarray(turned.copy()), "PNG", exif=exif((0x0112, 3, 1, bytes([value, 0, 0, 0]))))
    np.testing.assert_array_equal(np.asarray(load_image(stored)), np.asarray(upright))


def test_warnings_are_silent_in_threads_and_the_filters_stay_as_they_were():
    content = encoded(photograph(40, 30), "JPEG", exif=DAMAGED_EXIF["cut"])
    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *where: shown.append(str(message))  # type: ignore[assignment]
        before = list(warnings.filters)
        threads = [threading.Thread(target=lambda: [load_image(content) for _ in range(20)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(warnings.filters) == before
    assert not shown


RED = b"\0\xff\0\0"  # one row of one red pixel


@pytest.mark.parametrize(
    "much",
    [
        [chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)))],
        [chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(2_000_000)))],
        [chunk(b"tEXt", b"a\0" + bytes(9_000_000))] * 8,
    ],
    ids=["one compressed", "one international", "many"],
)
@pytest.mark.parametrize("after", [False, True])
def test_png_with_much_text_is_read(much, after):
    turn = chunk(b"eXIf", exif(ORIENTED)[6:])
    content = png(2, 1, 8, 2, RED + b"\0\xff\0", turn, *([] if after else much))
    if after:
        content = content[:-12] + b"".join(much) + content[-12:]
    np.testing.assert_array_equal(np.asarray(load_image(content)), [[[255, 0, 0]], [[0, 255, 0]]])


def test_png_with_much_text_keeps_its_colours_and_its_damage():
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)))
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(DISPLAY_P3))
    content = png(1, 1, 8, 2, b"\0" + bytes((200, 100, 50)), profile, text)
    assert levels_off(load_image(content), [[[215, 93, 31]]]) <= 1
    with pytest.raises(ImageError, match=r"^x: damaged"):
        load_image(content[:-25], "x")


def test_a_large_profile_in_png_is_followed():
    large = DISPLAY_P3 + bytes(2_000_000)
    large = struct.pack(">I", len(large)) + large[4:]
    content = encoded(Image.new("RGB", (1, 1), (200, 100, 50)), "PNG", icc_profile=large)
    assert levels_off(load_image(content), [[[215, 93, 31]]]) <= 1


@pytest.mark.parametrize("kind", [kind for kind in IMAGE_FORMATS if kind not in ("HEIF", "PPM", "BMP")])
def test_files_that_are_cut_short_are_damaged(kind):
    content = encoded(photograph(120, 90), kind)
    with pytest.raises(ImageError, match=r"^x: damaged|or damaged"):
        load_image(content[: len(content) * 9 // 10], "x")


def test_a_colour_key_is_transparent_in_every_depth():
    key = chunk(b"tRNS", struct.pack(">3H", 255, 0, 0))
    rows = RED + b"\0\xff\0"
    np.testing.assert_array_equal(np.asarray(load_image(png(2, 1, 8, 2, rows, key))), [[[255] * 3, [0, 255, 0]]])
    key = chunk(b"tRNS", struct.pack(">H", 300))
    deep = b"\0" + struct.pack(">2H", 300, 301)
    np.testing.assert_array_equal(np.asarray(load_image(png(2, 1, 16, 0, deep, key))), [[[255] * 3, [1] * 3]])
    clear = photograph(4, 4).quantize(4)
    clear.info["transparency"] = bytes(4)
    assert np.asarray(load_image(clear)).min() == 255


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_every_mode_shows_the_same_grey(mode):
    white = Image.new("RGBA", (3, 3), "white")
    through = {"La": "LA", "PA": "P", "RGBX": "RGB", "HSV": "RGB", "YCbCr": "RGB", "CMYK": "RGB"}.get(mode)
    picture = (white.convert(through) if through else white).convert(mode)
    assert np.asarray(load_image(picture)).min() >= 254


def test_lab_is_converted():
    content = encoded(Image.new("LAB", (2, 2), (255, 128, 128)), "TIFF")
    assert np.asarray(load_image(content)).min() >= 253


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), "floating-point pixels have no defined range"),
        (Image.fromarray(np.full((4, 4), 200, np.int32)), "32 bits have no defined range"),
    ],
)
def test_pixels_without_a_range_are_refused(picture, reason):
    with pytest.raises(ImageError, match=f"^x: .*{reason}"):
        load_image(encoded(picture, "TIFF"), "x")


def test_of_several_pictures_the_first_is_read():
    red, green = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "lime")
    for kind in ("GIF", "TIFF", "WEBP", "PNG", "AVIF", "MPO"):
        options = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind in ("AVIF", "MPO") else {}
        found = load_image(encoded(red, kind, save_all=True, append_images=[green], **options))
        assert levels_off(found, red) <= 3, kind


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (0, 0)])
def test_pictures_without_pixels_are_refused(size):
    with pytest.raises(ImageError, match=f"^x: {size[0]} x {size[1]} pixels are too few to show anything"):
        load_image(Image.new("RGB", size), "x")
    with pytest.raises(ImageError, match=r"^x: "):
        load_image(png(*size, 8, 2, b""), "x")


def claim(width, height):
    """A PNG file that says to be so large, and is not."""
    return png(width, height, 8, 0, b"")


@pytest.mark.parametrize(("width", "height"), [(13_378, 13_378), (2**31 - 1, 2**31 - 1), (100_000, 2_000)])
def test_too_many_pixels_are_refused_before_decoding(width, height, recwarn):
    with pytest.raises(ImageError, match=r"^x: .*more than 178,956,970"):
        load_image(claim(width, height), "x")
    assert not recwarn.list


def test_as_many_pixels_as_the_limit_are_decoded(recwarn):
    width = 13_370
    with pytest.raises(ImageError, match=r"^x: damaged"):  # it has none, which only decoding shows
        load_image(claim(width, MAX_PIXELS // width), "x")
    assert not recwarn.list


def test_a_program_s_own_limit_of_pixels_is_left_to_it(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ImageError, match=r"more than 178,956,970"):
        load_image(claim(13_378, 13_378), "x")
    assert Image.MAX_IMAGE_PIXELS is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(ImageError, match=r"more than 1,000 pixels"):
        load_image(encoded(photograph(40, 30), "PNG"), "x")


def test_what_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(ImageError, match="not a file"):
            load_image(path)
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(f"{tmp_path}/a\0b.png")


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
