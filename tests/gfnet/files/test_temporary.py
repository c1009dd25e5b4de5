from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from folder_support import listed, write
from gfnet.errors import GFNetError
from gfnet.files.replacing import (
    RECORD,
)
from gfnet.files.temporary import remove_stale
from gfnet.files.writing import write_text

KILLED = """
import sys, time
from gfnet.files.replacing import atomic_folder
from gfnet.files.writing import atomic_file
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
        "import os\nfrom gfnet.files.replacing import atomic_folder\nreal = os.replace\n"
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
