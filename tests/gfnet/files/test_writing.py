from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gfnet.errors import GFNetError
from gfnet.files.writing import (
    RECORD,
    atomic_file,
    atomic_folder,
    check_files,
    check_folder,
    check_output_file,
    check_writable,
    note_change,
    record_files,
    remove_stale,
    write_json,
    write_text,
)


def write(out, *names, kind="scenes", **options):
    with atomic_folder(out, kind, **options) as folder:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)


def listed(folder):
    """All that is there, links and records included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "result.json"
    write_json(target, {"kept": True})
    before = target.read_text()
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == before
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_one_clear_message_and_nothing_half_written(tmp_path):
    target = tmp_path / "result.json"
    with pytest.raises(GFNetError, match=r"result\.json: cannot write .*free some space"), atomic_file(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_really_full_device_is_reported():
    with pytest.raises(GFNetError, match="No space left"):
        write_text("/dev/full", "x" * 100_000)


def test_a_file_keeps_its_permissions_and_new_ones_follow_the_umask(tmp_path):
    (tmp_path / "secret").touch(mode=0o600)
    write_text(tmp_path / "secret", "x")
    write_text(tmp_path / "new", "x")
    (tmp_path / "plain").touch()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes["secret"] == 0o600
    assert modes["new"] == modes["plain"]


def test_names_of_any_length_and_kind_can_be_written(tmp_path):
    for name in ("x" * 255, "ä" * 100 + ".safetensors", "a." + "b" * 200, ".hidden", os.fsdecode(b"\xff.json")):
        write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"
    assert len(list(tmp_path.iterdir())) == 5


# -- links, devices and pipes


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.json").write_text("old")
    for name, target in (("to a file", "there/real.json"), ("to nothing", "there/new.json"), ("twice", "to a file")):
        (tmp_path / name).symlink_to(target)
        write_text(tmp_path / name, name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_text() == name
    assert listed(tmp_path / "there") == ["new.json", "real.json"]


def test_a_link_in_a_circle_is_one_clear_message(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(GFNetError, match=r"circle: cannot write"):
        write_text(tmp_path / "circle", "x")
    assert (tmp_path / "circle").is_symlink()


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="needs /dev/null")
def test_a_device_is_written_to(tmp_path):
    (tmp_path / "link.json").symlink_to("/dev/null")
    for path in (Path("/dev/null"), tmp_path / "link.json"):
        check_writable(path)
        write_text(path, "x")
    assert Path("/dev/null").is_char_device()
    assert (tmp_path / "link.json").is_symlink()


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "x" * 100_000)
    reader.join()
    assert got == ["x" * 100_000]
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
def test_standard_output_keeps_what_was_written_to_it_before(tmp_path):
    code = "from gfnet.files.writing import write_text\nprint('first', flush=True)\nwrite_text('/dev/stdout', 'second')"
    with open(tmp_path / "out.txt", "w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "first\nsecond"
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert piped.stdout == "first\nsecond"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(GFNetError, match="is a folder; give a file"):
        check_writable(tmp_path)
    with pytest.raises(GFNetError, match="cannot write"):
        write_text(tmp_path, "x")


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


# -- folders


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


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", float("nan"))
    assert not list(tmp_path.iterdir())


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


# -- files beside others'


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


# -- what killed processes leave

KILLED = """
import sys, time
from gfnet.files.writing import atomic_file, atomic_folder
with atomic_file("result.json") as file, atomic_folder("out", "scenes", overwrite=True) as folder:
    file.write_text("half")
    (folder / "half").touch()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that is about to write a file and a folder."""
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, writer):
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 2
    write_text(tmp_path / "result.json", "x")
    write(tmp_path / "out", "new")
    assert set(left) < {path.name for path in tmp_path.iterdir()}  # it lives
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    write_text(tmp_path / "result.json", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "result.json"]


def test_a_folder_clears_up_as_well(tmp_path, writer):
    writer.kill()
    writer.wait()
    write(tmp_path / "out", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_another_machine_may_be_writing_stays_for_a_week(tmp_path):
    theirs = tmp_path / ".out.gfnet-new-00000000-01234567"
    theirs.mkdir()
    remove_stale(tmp_path)
    assert theirs.exists()
    old = time.time() - 8 * 24 * 3600
    os.utime(theirs, (old, old))
    remove_stale(tmp_path)
    assert not theirs.exists()


def test_only_temporary_files_are_cleared_up(tmp_path):
    names = (".out.gfnet", ".result.json.abc.json", ".out.gfnet-new-0-1", "x.gfnet-new-00000000-01234567")
    old = time.time() - 8 * 24 * 3600
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    write_text(tmp_path / "result.json", "x")
    assert {path.name for path in tmp_path.iterdir()} == {*names, "result.json"}


def test_a_folder_that_was_set_aside_when_its_replacer_was_killed_comes_back(tmp_path, monkeypatch):
    write(tmp_path / "out", "old")
    code = (
        "import os\nfrom gfnet.files.writing import atomic_folder\nreal = os.replace\n"
        "def replace(source, target):\n"
        "    if str(target).endswith('/out') and (source / 'new').exists(): os._exit(9)\n"
        "    real(source, target)\n"
        "os.replace = replace\n"
        "with atomic_folder('out', 'scenes', overwrite=True) as folder: (folder / 'new').touch()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 9
    assert not (tmp_path / "out").exists()
    with pytest.raises(GFNetError, match="already exists"):
        write(tmp_path / "out", "other")
    assert listed(tmp_path) == ["out", f"out/{RECORD}", "out/old"]


def test_the_record_says_what_was_written(tmp_path):
    write(tmp_path / "out", "old", "deep/old")
    assert json.loads((tmp_path / "out" / RECORD).read_text()) == {"scenes": {"deep/old": 8, "old": 3}}
    check_folder(tmp_path / "out", "scenes", overwrite=True)
