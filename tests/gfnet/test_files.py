from __future__ import annotations

import errno
import os

import pytest

from gfnet.errors import GFNetError
from gfnet.files import atomic_file, atomic_folder, write_json


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


def test_a_really_full_device_is_reported(tmp_path):
    full = tmp_path / "full.json"
    with pytest.raises(GFNetError, match="No space left"), atomic_file(full) as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        with open(temporary, "wb") as stream:
            stream.write(b"x" * 100_000)
    assert not full.exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "out") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "whole").touch()
        assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole"]


def test_an_existing_folder_is_kept_unless_replacing_is_asked_for(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(GFNetError, match=r"already exists; .*--overwrite"), atomic_folder(out):
        pass
    with pytest.raises(RuntimeError), atomic_folder(out, overwrite=True):
        raise RuntimeError
    assert (out / "old").exists()
    with atomic_folder(out, overwrite=True) as folder:
        (folder / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [out]


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", float("nan"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    real, calls = os.replace, []

    def replace(source, destination):
        calls.append(destination)
        if len(calls) == 2:  # the new folder's turn
            raise OSError(28, "No space left on device")
        real(source, destination)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(GFNetError, match="No space left"), atomic_folder(target, overwrite=True):
        pass
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
