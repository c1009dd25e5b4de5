from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from folder_support import listed, write
from gfnet.errors import GFNetError
from gfnet.files.replacing import (
    RECORD,
    atomic_folder,
    check_files,
    check_folder,
    check_output_file,
    note_change,
    record_files,
)


def test_a_file_that_is_read_is_not_written(tmp_path):
    ours, theirs, link = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "link.json"
    ours.write_text("a")
    theirs.write_text("b")
    link.symlink_to("b.json")
    check_output_file(ours, [theirs, tmp_path])
    for path, source in ((ours, ours), (link, theirs), (theirs, link), (tmp_path / "x" / ".." / "a.json", ours)):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(GFNetError, match="is read, and would be replaced"):
            check_output_file(path, [source])
    for name in ("photo.JPG", "train-000.tar", "manifest.json"):
        (tmp_path / name).touch()
        with pytest.raises(GFNetError, match="is read, and would be replaced"):
            check_output_file(tmp_path / name, [tmp_path])
        check_output_file(tmp_path / name, [tmp_path / "x"])


def test_a_file_that_belongs_to_a_folder_s_output_is_not_written(tmp_path):
    write(tmp_path / "bundle", "manifest.json", "sub/weights", kind="bundle")
    for name in ("manifest.json", "sub/weights"):
        with pytest.raises(GFNetError, match=r"is part of the bundle in .*choose another file"):
            check_output_file(tmp_path / "bundle" / name)
    (tmp_path / "bundle" / "other.json").touch()
    check_output_file(tmp_path / "bundle" / "other.json")


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "out", "scenes") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "out", "scenes") as folder:
        (folder / "whole").touch()
        assert not (tmp_path / "out").exists()
    assert listed(tmp_path) == ["out", f"out/{RECORD}", "out/whole"]


def test_a_folder_of_its_own_is_replaced_only_when_asked(tmp_path):
    out = tmp_path / "out"
    write(out, "old", "deep/old")
    with pytest.raises(GFNetError, match=r"already exists; .*--overwrite"):
        write(out, "new")
    with pytest.raises(RuntimeError), atomic_folder(out, "scenes", overwrite=True):
        raise RuntimeError
    assert (out / "old").exists()
    for _ in range(2):
        write(out, "new", overwrite=True)
        assert listed(tmp_path) == ["out", f"out/{RECORD}", "out/new"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", "new")
    assert (tmp_path / "out" / "new").exists()


def user_file(out):
    (out / "mine.txt").write_text("mine")


def user_folder(out):
    (out / "mine").mkdir()


def user_file_deep_within(out):
    (out / "deep" / ".mine").write_text("mine")


def user_link(out):
    (out / "mine").symlink_to(out)


def changed(out):
    (out / "old").write_text("much better")


def no_record(out):
    (out / RECORD).unlink()


def damaged_record(out):
    (out / RECORD).write_text("[" * 100_000)


def record_of_another_kind(out):
    (out / RECORD).write_text((out / RECORD).read_text().replace("scenes", "bundle"))


def record_is_a_link(out):
    (out / RECORD).rename(out.parent / "record")
    (out / RECORD).symlink_to(out.parent / "record")


def output_of_another_command(out):
    record_files(out, ["curve.csv"], "report")


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (user_file, r"mine\.txt: was not written by this command; move it away"),
        (user_folder, r"mine: was not written by this command"),
        (user_file_deep_within, r"deep/\.mine: was not written by this command"),
        (user_link, r"mine: was not written by this command"),
        (changed, r"old: was changed since it was written by this command"),
        (no_record, r"holds deep/old, and no record of what wrote it; remove it yourself"),
        (damaged_record, "no record of what wrote it"),
        (record_of_another_kind, r"what the same command wrote \(scenes\), but this holds bundle"),
        (record_is_a_link, "no record of what wrote it"),
        (output_of_another_command, "holds scenes and report"),
    ],
)
def test_a_folder_that_holds_anything_else_stays(tmp_path, alter, message):
    out = tmp_path / "out"
    write(out, "old", "deep/old")
    alter(out)
    before = listed(tmp_path)
    with pytest.raises(GFNetError, match=message):
        write(out, "new", overwrite=True)
    assert listed(tmp_path) == before


def test_what_is_put_there_meanwhile_stays_too(tmp_path):
    out = tmp_path / "out"
    write(out, "old")
    with pytest.raises(GFNetError, match="mine: was not written"), atomic_folder(out, "scenes", overwrite=True):
        (out / "mine").touch()
    assert listed(tmp_path) == ["out", f"out/{RECORD}", "out/mine", "out/old"]


def test_a_change_by_a_command_whose_task_it_is_counts_as_its_own(tmp_path):
    write(tmp_path / "out", "old")
    (tmp_path / "out" / "old").write_text("much better")
    note_change(tmp_path / "out", "old")
    write(tmp_path / "out", "new", overwrite=True)
    assert (tmp_path / "out" / "new").exists()


def test_what_file_managers_leave_is_not_in_the_way(tmp_path):
    write(tmp_path / "out", "old")
    (tmp_path / "out" / ".DS_Store").touch()
    write(tmp_path / "out", "new", overwrite=True)
    assert listed(tmp_path / "out") == [RECORD, "new"]


def test_the_current_folder_and_those_around_it_are_never_replaced(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(out, "deep/old")
    monkeypatch.chdir(out / "deep")
    for place in (".", "..", "../", out, "/", "", "../deep/.", f"{out}/deep/../"):
        with pytest.raises(GFNetError, match=r"is or holds the current folder; choose another"):
            write(place, "new", overwrite=True)
    assert listed(out) == [RECORD, "deep", "deep/old"]
    monkeypatch.chdir(tmp_path)
    write("out/", "new", overwrite=True)
    assert listed(out) == [RECORD, "new"]


def test_the_home_folder_is_never_replaced(tmp_path, monkeypatch):
    write(tmp_path / "out", "deep/old")
    monkeypatch.setenv("HOME", str(tmp_path / "out" / "deep"))
    with pytest.raises(GFNetError, match="is or holds the home folder"):
        write(tmp_path / "out", "new", overwrite=True)


def test_inputs_are_never_replaced_nor_written_into(tmp_path):
    out = tmp_path / "out"
    write(out, "deep/old")
    (tmp_path / "link").symlink_to("out/deep")
    for source in (out, out / "deep", out / "deep" / "old", tmp_path / "link", tmp_path / "link" / "old"):
        with pytest.raises(GFNetError, match=rf"out: holds .*{source.name}, which is read"):
            write(out, "new", overwrite=True, inputs=[source])
    for place in (out / "deep" / "new", out / "new", tmp_path / "link" / "new"):
        with pytest.raises(GFNetError, match=r"new: lies in .*out, which is read"):
            write(place, "new", inputs=[out])
    write(tmp_path / "out2", "new", inputs=[out])  # a name that begins alike


def test_a_folder_under_a_file_is_one_clear_message(tmp_path):
    (tmp_path / "file").touch()
    for place, message in ((tmp_path / "file", "file: is a file"), (tmp_path / "file" / "a" / "b", "file is a file")):
        with pytest.raises(GFNetError, match=message):
            write(place, "new", overwrite=True)
    assert listed(tmp_path) == ["file"]


def test_a_link_to_a_folder_stays_and_what_it_leads_to_is_replaced(tmp_path):
    write(tmp_path / "out", "old")
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "dangling").symlink_to("other")
    write(tmp_path / "link", "new", overwrite=True)
    write(tmp_path / "dangling", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "dangling").is_symlink()
    assert listed(tmp_path / "out") == listed(tmp_path / "other") == [RECORD, "new"]


def test_links_within_a_replaced_folder_are_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    with atomic_folder(tmp_path / "out", "scenes") as folder:
        (folder / "link").symlink_to(tmp_path / "precious")
    write(tmp_path / "out", "new", overwrite=True)
    assert (tmp_path / "precious" / "file").exists()


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), SystemExit(143)])
def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch, trouble):
    target = tmp_path / "out"
    write(target, "old")
    real = os.replace

    def replace(source, destination):
        if destination == target and Path(source, "new").exists():
            raise trouble
        real(source, destination)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises((GFNetError, SystemExit)):
        write(target, "new", overwrite=True)
    assert listed(tmp_path) == ["out", f"out/{RECORD}", "out/old"]


def test_files_beside_others_are_replaced_only_by_the_command_that_wrote_them(tmp_path):
    folder = tmp_path / "out"
    check_files(folder, ["a.png"], "pictures")
    assert not folder.exists()
    record_files(folder, ["a.png"], "pictures")
    for name in ("a.png", "b.png"):
        (folder / name).touch()
    check_files(folder, ["a.png", "c.png"], "pictures")
    for names, kind in ((["a.png", "b.png"], "pictures"), (["a.png"], "report")):
        with pytest.raises(GFNetError, match=rf"{names[-1]}: was not written by this command"):
            check_files(folder, names, kind)
    with pytest.raises(GFNetError, match=r"a\.png: is read, and would be replaced"):
        check_files(folder, ["a.png"], "pictures", [folder / "a.png"])
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to("b.png")
    with pytest.raises(GFNetError, match="was not written by this command"):
        check_files(folder, ["a.png"], "pictures")
    with pytest.raises(GFNetError, match="is a file"):
        check_files(folder / "b.png", ["a.png"], "pictures")
    with pytest.raises(GFNetError, match="cannot be the name of a file in it"):
        check_files(folder, ["../a.png"], "pictures")


def test_the_record_says_what_was_written(tmp_path):
    write(tmp_path / "out", "old", "deep/old")
    assert json.loads((tmp_path / "out" / RECORD).read_text()) == {"scenes": {"deep/old": 8, "old": 3}}
    check_folder(tmp_path / "out", "scenes", overwrite=True)
