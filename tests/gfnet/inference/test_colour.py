"""Colours of embedded profiles, against published numbers and formulas."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from gfnet.inference.colour import coded_profile, rgb_profile, to_srgb
from picture_support import ADOBE_RGB, D50, DISPLAY_P3, adobe_rgb, cmyk_profile, gamma, grey_profile, icc_profile, xyz

P3_TO_SRGB = np.array([[1.22494, -0.22494, 0.0], [-0.04206, 1.04206, 0.0], [-0.01964, -0.07864, 1.09827]])
"""Between linear values, published for Display P3; both whites are D65."""

XYZ_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.033454], [0.0719453, -0.2289914, 1.4052427]]
)
"""Published for XYZ under D50."""

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def colours():
    """Colours from all over the cube, [1,216,3]."""
    levels = range(0, 256, 51)
    return np.array(list(itertools.product(levels, repeat=3)), np.uint8)[None]


def linear(values):
    values = values / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def curved(values):
    values = np.clip(values, 0, 1)
    return 255 * np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


def converted(pixels, profile):
    return np.asarray(to_srgb(Image.fromarray(pixels), profile)).astype(float)


def test_display_p3_becomes_srgb():
    right = curved(linear(colours()) @ P3_TO_SRGB.T)
    found = converted(colours(), DISPLAY_P3)
    assert np.abs(found - right).max() < 2
    assert np.abs(found - colours()).max() > 50  # as wrong it is without


def test_adobe_rgb_becomes_srgb():
    right = curved((colours() / 255) ** (563 / 256) @ (XYZ_TO_SRGB @ np.array(ADOBE_RGB).T).T)
    assert np.abs(converted(colours(), adobe_rgb()) - right).max() < 2


def test_the_profile_of_display_p3_has_its_published_colorants():
    space = ImageCms.ImageCmsProfile(io.BytesIO(DISPLAY_P3)).profile
    np.testing.assert_allclose(space.red_colorant[0], (0.51512, 0.2412, -0.00105), atol=2e-4)
    np.testing.assert_allclose(space.green_colorant[0], (0.29198, 0.69225, 0.04189), atol=2e-4)
    np.testing.assert_allclose(space.blue_colorant[0], (0.1571, 0.06657, 0.78407), atol=2e-4)


def srgb_of_a_table():
    """sRGB as scanners' and screens' makers write it: curves of 1024 points, rounded colorants."""
    points = np.rint(65535 * linear(np.linspace(0, 255, 1024))).astype(">u2").tobytes()
    curve = b"curv" + struct.pack(">4xI", 1024) + points
    colorants = {
        b"rXYZ": xyz((0.4361, 0.2225, 0.0139)),
        b"gXYZ": xyz((0.3851, 0.7169, 0.0971)),
        b"bXYZ": xyz((0.1431, 0.0606, 0.7141)),
    }
    return icc_profile(b"RGB ", {b"wtpt": xyz(D50), **colorants, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)})


@pytest.mark.parametrize(
    "profile",
    [None, b"", SRGB, srgb_of_a_table(), rgb_profile((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))],
    ids=["none", "empty", "lcms", "table", "ours"],
)
def test_pixels_of_srgb_stay_as_they_are(profile):
    every = np.arange(256, dtype=np.uint8)
    pixels = np.stack(np.meshgrid(every, every, every[::15]), axis=-1).reshape(1, -1, 3)
    np.testing.assert_array_equal(converted(pixels, profile), pixels)


def test_a_grey_profile_is_followed():
    grey = np.arange(256, dtype=np.uint8)[None]
    right = curved((grey / 255) ** 1.8)
    found = converted(grey, grey_profile(1.8))
    assert np.abs(found - right[..., None]).max() < 2
    assert np.abs(found[..., 0] - grey).max() > 10


def test_a_cmyk_profile_is_followed():
    inks = Image.new("CMYK", (1, 1), (255, 255, 0, 0))  # half of the way from paper to black
    grey = round(255 * (1.055 * 0.18419 ** (1 / 2.4) - 0.055))  # L* = 50 is a luminance of 0.184
    assert np.abs(np.asarray(to_srgb(inks, cmyk_profile())).astype(int) - grey).max() <= 3
    assert to_srgb(inks, None).getpixel((0, 0)) == (0, 0, 255)
    paper = Image.new("CMYK", (1, 1), (0, 0, 0, 0))
    assert np.asarray(to_srgb(paper, cmyk_profile())).min() >= 254


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "profile",
    [b"no profile", DISPLAY_P3[:200], DISPLAY_P3[:36] + b"none" + DISPLAY_P3[40:], bytes(5000)],
    ids=["text", "short", "unsigned", "zeros"],
)
def test_a_damaged_profile_leaves_pixels_as_they_are(mode, profile):
    picture = Image.new("RGB", (2, 2), (200, 100, 50)).convert(mode)
    np.testing.assert_array_equal(np.asarray(to_srgb(picture, profile)), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize(("mode", "profile"), [("L", DISPLAY_P3), ("RGB", grey_profile(1.8)), ("CMYK", DISPLAY_P3)])
def test_a_profile_of_other_colours_leaves_pixels_as_they_are(mode, profile):
    picture = Image.new("RGB", (2, 2), (200, 100, 50)).convert(mode)
    np.testing.assert_array_equal(np.asarray(to_srgb(picture, profile)), np.asarray(picture.convert("RGB")))


def test_code_points_stand_for_the_same_profiles():
    assert coded_profile(12, 13) == DISPLAY_P3
    assert coded_profile(2, 2) is None  # "unspecified"
    profile = coded_profile(1, 13)
    assert profile is not None
    np.testing.assert_array_equal(converted(colours(), profile), colours())
    with pytest.raises(ValueError, match="HDR"):
        coded_profile(9, 16)


def test_a_curve_is_part_of_the_profile():
    space = {b"wtpt": xyz(D50), b"rXYZ": xyz((0.4361, 0.2225, 0.0139)), b"gXYZ": xyz((0.3851, 0.7169, 0.0971))}
    space |= {b"bXYZ": xyz((0.1431, 0.0606, 0.7141)), **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(1.0))}
    assert abs(converted(np.full((1, 1, 3), 55, np.uint8), icc_profile(b"RGB ", space)).mean() - 128) < 2
