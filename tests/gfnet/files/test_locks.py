from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gfnet.files.locks import LockedError, lock, lock_file, release

HOLDER = (
    "import sys, time\nfrom pathlib import Path\nfrom gfnet.files.locks import lock_file\n"
    "with lock_file(Path(sys.argv[1])):\n    print('ready', flush=True)\n    time.sleep(600)"
)


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path):
    path = tmp_path / "run" / ".lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(LockedError, match=rf"^process {process.pid} on \S+ since \d{{4}}-"), lock_file(path):
            pass
        process.kill()
    assert path.exists()
    with lock_file(path):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert not path.exists()


def test_a_process_excludes_itself_too(tmp_path):
    with lock_file(tmp_path / "lock"):
        with pytest.raises(LockedError), lock_file(tmp_path / "lock"):
            pass
        assert (tmp_path / "lock").exists()


def test_a_forked_process_does_not_prolong_a_lock(tmp_path):
    held = lock(tmp_path)
    (read, write), (read_here, write_there) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.write(write_there, b"x")
        os.read(read, 1)  # lives on
        os._exit(0)
    os.read(read_here, 1)
    try:
        with pytest.raises(BlockingIOError):
            lock(tmp_path)
        release(held)
        release(lock(tmp_path))
    finally:
        os.write(write, b"x")
        os.waitpid(child, 0)
        for descriptor in (read, write, read_here, write_there):
            os.close(descriptor)


def test_a_link_is_not_locked(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
        lock(tmp_path / "link")
