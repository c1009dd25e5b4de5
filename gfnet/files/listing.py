"""The one walk over folders: which files of some kinds lie in them, each once.

What a system or a program hides (``.ipynb_checkpoints``, ``._photo.jpg``) does not count.  Links are followed, but a
file that several links lead to is there once, and a link that leads back up ends there.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

from gfnet.errors import DataError


class Found(NamedTuple):
    """A file.

    Attributes:
        path: as it was reached.
        identity: the same for all paths to this file.
        linked: whether it was reached through a symbolic link, other than by a link that the walk began with.
    """

    path: str
    identity: int
    linked: bool


@dataclass(frozen=True)
class Listing:
    """What lies in a folder.

    Attributes:
        files: sorted by the folder that they lie in, then by name, both as text.
        passed_over: files of other kinds, relative to the folder, and special files such as sockets.
    """

    files: tuple[Found, ...]
    passed_over: tuple[str, ...]


def check_folder(folder: Path, expected: str) -> None:
    """Refuse what is not a folder.

    Args:
        expected: what should lie in it, in words.

    Raises:
        DataError: there is no such folder; of a relative path, the message says where it was looked for.
    """
    if not folder.is_dir():
        here = "" if folder.is_absolute() else f" (looked for in {Path.cwd()})"
        raise DataError(f"{folder}: no such folder{here}; expected {expected}")


def list_files(folder: str | Path, suffixes: Collection[str]) -> Listing:
    """The files in a folder and in the folders below it.

    A link that leads nowhere counts as a file if it has the name of one: a picture that is lost must not go unnoticed.

    Args:
        suffixes: in lower case, with their dots; files may have them in any case.

    Raises:
        DataError: a folder cannot be read.
    """
    top = str(folder)
    seen = {_identity(parent) for parent in (*Path(top).resolve().parents, *Path(top).absolute().parents)}
    real, linked = deque([top]), deque[str]()  # links last: a file is called by its own place where it has one
    files: dict[int, Found] = {}
    passed_over = []
    while real or linked:
        through_link = not real
        place = (real or linked).popleft()
        identity = _identity(place)
        if identity in seen:
            continue
        seen.add(identity)
        device = os.stat(place).st_dev
        for entry in _entries(place):
            if _is(entry, os.DirEntry.is_dir):
                # What lies below a link is reached through it too, so it waits for its turn.
                (linked if entry.is_symlink() or through_link else real).append(entry.path)
            elif _suffix(entry.name) not in suffixes or not (_is(entry, os.DirEntry.is_file) or _is_broken_link(entry)):
                passed_over.append(os.path.relpath(entry.path, top))
            else:
                one = _found(entry, device, through_link)
                if one.identity not in files or (files[one.identity].linked and not one.linked):
                    files[one.identity] = one
    ordered = sorted(files.values(), key=lambda found: os.path.split(found.path))
    return Listing(tuple(ordered), tuple(sorted(passed_over)))


def list_folders(root: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the folders, and of the files, directly in ``root``, both sorted; links back up are left out.

    Raises:
        DataError: it cannot be read.
    """
    above = {_identity(parent) for parent in (root, *Path(root).resolve().parents, *Path(root).absolute().parents)}
    folders, files = [], []
    for entry in _entries(root):
        if not _is(entry, os.DirEntry.is_dir):
            files.append(entry.name)
        elif _identity(entry.path) not in above:
            folders.append(entry.name)
    return tuple(folders), tuple(files)


def readable_name(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 appear as ``\\xe9``, so that it can be written anywhere."""
    return name.encode("utf-8", "surrogateescape" if _is_escaped(name) else "backslashreplace").decode(
        "utf-8", "backslashreplace"
    )


def _is_escaped(name: str) -> bool:
    """Whether all half characters stand for bytes, as Python reads file names."""
    return all("\udc80" <= letter <= "\udcff" for letter in name if "\ud800" <= letter <= "\udfff")


def _entries(place: str | Path) -> list[os.DirEntry[str]]:
    """What is not hidden, by name."""
    try:
        with os.scandir(place) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror}); check the path and its permissions") from error


def _is(entry: os.DirEntry[str], kind: Callable[[os.DirEntry[str]], bool]) -> bool:
    """Of what a link leads to; one that leads to itself is nothing."""
    try:
        return kind(entry)
    except OSError:
        return False


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _found(entry: os.DirEntry[str], device: int, through_link: bool) -> Found:
    if not entry.is_symlink():  # without asking the system about every file
        return Found(entry.path, _number(device, entry.inode()), through_link)
    try:
        return Found(entry.path, _identity(entry.path), True)
    except OSError:
        place = os.stat(entry.path, follow_symlinks=False)
        return Found(entry.path, _number(place.st_dev, place.st_ino), True)


def _is_broken_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _identity(path: str | Path) -> int:
    place = os.stat(path)
    return _number(place.st_dev, place.st_ino)


def _number(device: int, inode: int) -> int:
    return device << 64 | inode  # one integer takes a third of the memory of a pair
