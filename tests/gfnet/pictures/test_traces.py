from __future__ import annotations

import os

import pytest

from gfnet.checkpoint.predictor import torch_predictor
from gfnet.pictures.traces import draw_seen, picture_name, true_class
from network_support import photograph

NAMES = [
    ("a/photo.jpg", "0007-photo.png"),
    ("what's <this> #1 100%?.jpg", "0007-what_s_this_1_100_.png"),
    ("Äpfel 北.jpeg", "0007-Äpfel_北.png"),
    (os.fsdecode(b"bad\xff.png"), "0007-bad_.png"),
]


@pytest.mark.parametrize(("image", "name"), NAMES)
def test_picture_names_are_safe_and_recognisable(image, name):
    assert picture_name(7, image) == name


def test_the_longest_name_still_fits_a_file_system():
    # The temporary file beside it adds ten characters.
    assert len(picture_name(12345, "𝔉" * 200).encode()) < 240


def test_the_truth_is_the_folder_s_name_if_a_class_is_called_so(tmp_path, monkeypatch):
    assert true_class("data/star/1.png", ["ring", "star"]) == "star"
    assert true_class("data/else/1.png", ["ring", "star"]) is None
    assert true_class("data/star/1.png", None) is None
    (tmp_path / "ring").mkdir()
    monkeypatch.chdir(tmp_path / "ring")
    assert true_class("1.png", ["ring", "star"]) == "ring"


def test_a_picture_has_a_tile_for_every_step_of_the_network(checkpoint):
    predictor = torch_predictor(checkpoint)
    ((everything, pixels),) = predictor.stream([photograph(100, 100)])
    ((glance, _),) = predictor.stream([photograph(100, 100)], (0, 0, 0))
    assert len(glance.steps) == 1
    assert draw_seen(predictor, glance, pixels).size == draw_seen(predictor, everything, pixels).size
