from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from folder_support import listed
from gfnet.errors import GFNetError
from gfnet.files.writing import atomic_file, check_writable, write_json, write_text


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


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", float("nan"))
    assert not list(tmp_path.iterdir())
