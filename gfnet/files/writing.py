"""Files that are either whole or absent.

A file is written under a temporary name beside its target, synced and renamed, so that an interrupted command, a full
disk or a power failure never leaves half a file under the final name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gfnet.errors import GFNetError
from gfnet.files.temporary import remove_stale, temporary_beside


@contextmanager
def atomic_file(path: str | Path, *, tidy: bool = True) -> Iterator[Path]:
    """Yield a temporary path; on success it becomes ``path``, on failure it is removed.

    A link is followed: what it leads to is replaced or made.  A device, a pipe or one of this process's open files
    (``/dev/stdout``) is written to.

    Args:
        tidy: look for what killed processes left beside it; not worth it for one of many files.

    Raises:
        GFNetError: the disk is full, or the place is not writable.
        BrokenPipeError: the reader of the pipe has left.
    """
    path = Path(path)
    try:
        with _written_to(path) if is_stream(path) else _replacing(path, tidy) as temporary:
            yield temporary
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error


def check_writable(path: Path) -> None:
    """Find out before long work whether a file can be written.

    Raises:
        GFNetError: it is a folder, or its place takes no files.
    """
    if path.is_dir():
        raise GFNetError(f"{path}: is a folder; give a file")
    try:
        if not is_stream(path):
            place = Path(os.path.realpath(path)).parent
            with tempfile.TemporaryFile(dir=next(folder for folder in (place, *place.parents) if folder.exists())):
                pass
    except OSError as error:
        raise unwritable(path, error) from error


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def json_text(value: Any) -> str:
    """``value`` as indented JSON; NaN and infinity are refused."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all; NaN and infinity are refused."""
    write_text(path, json_text(value))


def unwritable(path: Path, error: OSError) -> GFNetError:
    """What to raise where the system refuses to write ``path``."""
    reason = error.strerror or str(error)
    return GFNetError(f"{path}: cannot write ({reason}); free some space or choose another place")


def is_stream(path: Path) -> bool:
    """Whether ``path`` is written to, not replaced: a device, a pipe, or an open file of this process.

    Raises:
        OSError: that cannot be found out.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return True
    except FileNotFoundError:
        return False
    while True:  # standard output may be a file: replaced under the same name, it would lose what else is written
        if re.fullmatch(r"/proc/\d+(/task/\d+)?/fd|/dev/fd", os.path.realpath(path.parent)):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / os.readlink(path)


@contextmanager
def _written_to(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / path.name
        temporary.touch()
        yield temporary
        with open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as stream, open(temporary, "rb") as whole:
            shutil.copyfileobj(whole, stream)


@contextmanager
def _replacing(path: Path, tidy: bool) -> Iterator[Path]:
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    if tidy:
        remove_stale(target.parent)
    with temporary_beside(target, "new") as temporary:
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        _sync_folder(target.parent)


def _sync_folder(path: Path) -> None:
    """Make renames in ``path`` last."""
    if os.name == "posix":
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
