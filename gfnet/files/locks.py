"""Locks that end with the process that holds them, however it ends."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gfnet.escaping import one_line

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

_held: set[int] = set()


class LockedError(Exception):
    """Another process holds a lock; the message says which one, as far as it is known."""


def lock(path: Path, flags: int = os.O_RDONLY) -> int | None:
    """Lock a file or folder for this process alone.  Processes that are forked from it do not share the lock.

    Args:
        flags: how to open it, for :func:`os.open`.

    Returns:
        What :func:`release` takes; ``None`` where the system or the file system has no locks.

    Raises:
        BlockingIOError: it is locked.
        FileNotFoundError: there is no such file, or the process that had locked it removed it meanwhile.
        OSError: it cannot be opened.
    """
    if fcntl is None:
        return None
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        opened, there = os.fstat(descriptor), os.lstat(path)
        if (opened.st_dev, opened.st_ino) != (there.st_dev, there.st_ino):
            raise FileNotFoundError(f"{path}: another file took its place")
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    _held.add(descriptor)
    return descriptor


def release(descriptor: int | None) -> None:
    """Give up what :func:`lock` returned."""
    if descriptor is not None and descriptor in _held:  # a forked process has closed its copy already
        _held.discard(descriptor)
        os.close(descriptor)


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold the file ``path``, which says who holds it; it and its folder are made if need be, and it is removed.

    One that a killed process left is taken over.

    Raises:
        LockedError: another process holds it.
        OSError: it cannot be written.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = lock(path, os.O_RDWR | os.O_CREAT)
            break
        except FileNotFoundError:
            continue  # its holder removed it between two steps of ours
        except BlockingIOError:
            raise LockedError(_holder(path)) from None
    try:
        if descriptor is not None:
            since = time.strftime("%Y-%m-%d %H:%M:%S %z")
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
        yield
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
        release(descriptor)


def _holder(path: Path) -> str:
    try:
        return one_line(path.read_text(encoding="utf-8", errors="replace").strip()) or "another process"
    except OSError:
        return "another process"


def _forget_in_child() -> None:
    """A lock lives as long as a descriptor of it does, also one that a forked process inherited."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
