"""Temporary files and folders beside what they will become, and their removal when a process was killed.

A temporary file is locked as long as its process lives, so that another process knows which ones are left over.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from gfnet.files.locks import lock, release

_TEMPORARY = re.compile(r"\..*\.gfnet-(new|old)-([0-9a-f]{8})-[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)
_LONGEST_STEM, _LONGEST_SUFFIX = 30, 20  # characters; with four bytes each a name fits into 255 bytes
_WEEK_S = 7 * 24 * 3600


@contextmanager
def temporary_beside(target: Path, role: Literal["new", "old"], *, folder: bool = False) -> Iterator[Path]:
    """A file or folder beside ``target``, locked as long as this process lives, and removed if it is there still.

    Args:
        role: ``new`` will become the target; ``old`` has place for a folder that is replaced.
    """
    while True:
        suffix = target.suffix if len(target.suffix) <= _LONGEST_SUFFIX else ""  # some writers go by it
        name = f".{target.name[:_LONGEST_STEM]}.gfnet-{role}-{_host()}-{secrets.token_hex(4)}{suffix}"
        path = target.with_name(name)
        if folder:
            path.mkdir()
        else:
            path.touch(exist_ok=False)
        try:
            locked = lock(path)
            break
        except (BlockingIOError, FileNotFoundError):
            continue  # between the two calls another process took it for a dead one's
    try:
        yield path
    finally:
        try:
            _discard(path)
        finally:
            release(locked)


def remove_stale(folder: Path) -> None:
    """Remove the temporary files in ``folder`` whose process is gone; those of living ones stay.

    A process of another machine is taken for gone when its file is not locked and a week old.  What was set aside
    for a new folder that never came goes back to its place.
    """
    with suppress(OSError):
        with os.scandir(folder) as entries:
            found = [(entry, match) for entry in entries if (match := _TEMPORARY.fullmatch(entry.name))]
        for entry, match in found:
            age = time.time() - entry.stat(follow_symlinks=False).st_mtime
            if match[2] != _host() and age < _WEEK_S:
                continue
            with suppress(OSError):
                locked = lock(Path(entry.path))
                if locked is not None:
                    try:
                        _discard(Path(entry.path))
                    finally:
                        release(locked)


def _discard(path: Path) -> None:
    """Remove a temporary file or folder, and bring back what was set aside in it, if nothing took its place."""
    match = _TEMPORARY.fullmatch(path.name)
    assert match is not None
    if match[1] == "old":
        for kept in path.iterdir():
            if not os.path.lexists(path.parent / kept.name):
                os.replace(kept, path.parent / kept.name)
        # Half removed, it must never come back.
        path = path.rename(path.with_name(path.name[: match.start(1)] + "new" + path.name[match.end(1) :]))
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _host() -> str:
    """This machine, as temporary names say it."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
