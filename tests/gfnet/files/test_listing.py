from __future__ import annotations

import os
from pathlib import Path

import pytest

from gfnet.errors import DataError
from gfnet.files.listing import list_files, list_folders, readable_name

SUFFIXES = {".png", ".jpg"}


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(folder: Path) -> list[str]:
    return [os.path.relpath(found.path, folder) for found in list_files(folder, SUFFIXES).files]


def test_files_of_the_kinds_in_any_case_and_what_is_passed_over(tmp_path):
    make(tmp_path, "b.PNG", "a.jpg", "c.txt", "deep/x.JpG", "deep/deeper/y.mov", "png", "d.png.part")
    assert names(tmp_path) == ["a.jpg", "b.PNG", "deep/x.JpG"]
    assert list_files(tmp_path, SUFFIXES).passed_over == ("c.txt", "d.png.part", "deep/deeper/y.mov", "png")


def test_what_is_hidden_does_not_count(tmp_path):
    make(tmp_path, "a.png", ".b.png", "._a.png", ".DS_Store", ".ipynb_checkpoints/a-checkpoint.png", "x/.git/c.png")
    assert names(tmp_path) == ["a.png"]
    assert list_files(tmp_path, SUFFIXES).passed_over == ()
    assert list_folders(tmp_path) == (("x",), ("a.png",))
    hidden = tmp_path / ".ipynb_checkpoints"  # somebody who names it means it
    assert names(hidden) == ["a-checkpoint.png"]


@pytest.mark.parametrize("target", [".", "..", "../..", "deep", "deep/back"])
def test_links_in_a_circle_end_and_multiply_nothing(tmp_path, target):
    folder = tmp_path / "data" / "ring"
    make(folder, "a.png", "deep/b.png")
    (folder / "deep" / "back").symlink_to("..")
    for number in range(8):
        (folder / f"link{number}").symlink_to(target)
    (folder / "itself").symlink_to("itself")
    assert names(folder) == ["a.png", "deep/b.png"]


def test_each_file_is_there_once_however_many_lead_to_it(tmp_path):
    make(tmp_path / "in", "b/x.png", "b/y.png")
    make(tmp_path / "out", "z.png", "more/w.png")
    (tmp_path / "in" / "a").symlink_to("b")
    (tmp_path / "in" / "b" / "a.png").symlink_to("y.png")
    (tmp_path / "in" / "b" / "z.png").hardlink_to(tmp_path / "in" / "b" / "x.png")
    for name in ("c", "d"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "out")
    assert names(tmp_path / "in") == ["b/x.png", "b/y.png", "c/z.png", "c/more/w.png"]
    assert [found.linked for found in list_files(tmp_path / "in", SUFFIXES).files] == [False, False, True, True]
    (tmp_path / "class").symlink_to(tmp_path / "out")
    assert not any(found.linked for found in list_files(tmp_path / "class", SUFFIXES).files)


def test_a_lost_picture_stays_in_the_list_and_a_pipe_does_not(tmp_path):
    (tmp_path / "lost.png").symlink_to("nowhere")
    (tmp_path / "round.png").symlink_to("round.png")
    (tmp_path / "lost.txt").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    listing = list_files(tmp_path, SUFFIXES)
    assert names(tmp_path) == ["lost.png", "round.png"]
    assert listing.passed_over == ("lost.txt", "pipe.png")


def test_class_folders_may_be_links_but_not_back_up(tmp_path):
    make(tmp_path, "elsewhere/x.png", "val/ring/a.png")
    (tmp_path / "val" / "star").symlink_to(tmp_path / "elsewhere")
    for name, target in (("up", ".."), ("self", "."), ("lost", "nowhere")):
        (tmp_path / "val" / name).symlink_to(target)
    assert list_folders(tmp_path / "val") == (("ring", "star"), ("lost",))


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    make(tmp_path, "ring/a.png")

    def refuse(place):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gfnet.files.listing.os.scandir", refuse)
    with pytest.raises(DataError, match="ring: cannot be read"):
        list_files(tmp_path / "ring", SUFFIXES)


def test_any_name_can_be_written(tmp_path):
    assert readable_name("café") == "café"
    assert readable_name(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert readable_name("\ud800x") == "\\ud800x"
