"""Files and folders that are either whole or absent, and never take the place of what somebody else wrote.

Everything is written under a temporary name beside its target and renamed, so an interrupted command or a
full disk never leaves half a file under the final name.  Single files are synced first, so that a power failure
does not either; of the many files of a folder that is left to the system.  Temporary files of processes that were
killed are removed by the next one that writes beside them.

A command leaves a record (``.gfnet.json``) of what it wrote in a folder, so that it knows its own when it is asked
to replace it: :func:`check_folder` and :func:`check_files` are all that decides about that.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from gfnet.errors import GFNetError
from gfnet.files.locks import lock, release

RECORD = ".gfnet.json"
"""What a command wrote in a folder: for each kind of output the files' names, and their sizes in bytes where they
do not change any more."""

_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # file managers leave it wherever somebody looks
_TEMPORARY = re.compile(r"\..*\.gfnet-(new|old)-([0-9a-f]{8})-[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)
_LONGEST_STEM, _LONGEST_SUFFIX = 30, 20  # characters; with four bytes each a name fits into 255 bytes
_WEEK_S = 7 * 24 * 3600

_Record = dict[str, dict[str, int | None]]


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
        with _written_to(path) if _is_stream(path) else _replacing(path, tidy) as temporary:
            yield temporary
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def atomic_folder(
    path: str | Path, kind: str, *, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield a temporary folder; on success it becomes ``path``, on failure it is removed.  A link is followed.

    Args:
        kind: what is written, as a message may name it; only a folder of the same kind is replaced.
        overwrite, inputs: as for :func:`check_folder`.

    Raises:
        GFNetError: :func:`check_folder` refuses ``path``, the disk is full, or the place is not writable.
    """
    path = Path(path)
    try:
        target = Path(os.path.realpath(path))
        remove_stale(target.parent)
        check_folder(path, kind, overwrite=overwrite, inputs=inputs)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(target, "new", folder=True) as temporary:
            yield temporary
            _write_record(temporary, {kind: dict(_contents(temporary))})
            check_folder(path, kind, overwrite=overwrite)  # much may have happened since
            if target.exists():
                with _temporary(target, "old", folder=True) as retired:
                    os.replace(target, retired / target.name)
                    os.replace(temporary, target)
            else:
                os.replace(temporary, target)
    except OSError as error:
        raise _unwritable(path, error) from error


def check_folder(path: str | Path, kind: str, *, overwrite: bool = False, inputs: Iterable[Path] = ()) -> None:
    """The rule on output folders: one may be replaced that holds what was written there as ``kind``, and nothing else.

    Args:
        overwrite: whether it may be replaced at all.
        inputs: what the command reads; ``path`` neither holds it nor lies in it.

    Raises:
        GFNetError: names what is in the way.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    inputs = list(inputs)
    refuse_holding(path, inputs)
    refuse_lying_in(path, inputs)
    for place, called in _never_replaced():
        if place.is_relative_to(target):
            raise GFNetError(f"{path}: is or holds {called}; choose another output folder")
    for place in (target, *target.parents):
        if place.exists() and not place.is_dir():
            where = "" if place == target else f"{place} "
            raise GFNetError(f"{path}: {where}is a file; choose another output folder")
    first = next(_contents(target), None) if target.is_dir() else None
    if first is None:
        return
    if not overwrite:
        raise GFNetError(f"{path}: already exists; choose another folder or pass --overwrite")
    record = _read_record(target)
    if list(record) != [kind]:
        holds = " and ".join(record) or f"{first[0]}, and no record of what wrote it"
        raise GFNetError(
            f"{path}: --overwrite replaces what the same command wrote ({kind}), but this holds {holds}; remove it "
            "yourself or choose another folder"
        )
    for name, size in _contents(target):
        if size != record[kind].get(name):
            how = "was changed since it was" if name in record[kind] else "was not"
            raise GFNetError(f"{path / name}: {how} written by this command; move it away or choose another folder")


def refuse_holding(out: Path, inputs: Iterable[Path]) -> None:
    """A folder that is replaced must not be, or hold, what is read.

    Raises:
        GFNetError: it does.
    """
    target = os.path.realpath(out)
    for source in inputs:
        if Path(os.path.realpath(source)).is_relative_to(target):
            raise GFNetError(f"{out}: holds {source}, which is read; choose another output folder")


def refuse_lying_in(out: Path, inputs: Iterable[Path]) -> None:
    """Nothing is written where images are looked for: it would be among them the next time.

    Raises:
        GFNetError: it would.
    """
    target = Path(os.path.realpath(out))
    for source in inputs:
        if target.is_relative_to(os.path.realpath(source)):
            raise GFNetError(f"{out}: lies in {source}, which is read; choose another output folder")


def check_files(folder: Path, names: Iterable[str], kind: str, inputs: Iterable[Path] = ()) -> None:
    """The rule on files that a command writes beside others': it may replace those that were written there as ``kind``.

    Args:
        names: of the files, relative to ``folder``.
        inputs: files that the command reads.

    Raises:
        GFNetError: names what is in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise GFNetError(f"{folder}: is a file; choose another output folder")
    ours = _read_record(folder).get(kind, {})
    sources = [source for source in inputs if source.exists()]
    for name in names:
        file = folder / name
        if file.name != name:
            raise GFNetError(f"{folder}: {name!r} cannot be the name of a file in it")
        if not os.path.lexists(file):
            continue
        if name not in ours or file.is_symlink():
            raise GFNetError(f"{file}: was not written by this command; move it away or choose another folder")
        if any(file.samefile(source) for source in sources):
            raise GFNetError(f"{file}: is read, and would be replaced; choose another folder")


def record_files(folder: Path, names: Iterable[str], kind: str) -> None:
    """Record that the files, which are written next, are of this kind; the folder is made if need be.

    Raises:
        GFNetError: the folder cannot be written.
    """
    record, names = _read_record(folder), list(names)
    if not record.get(kind, {}).keys() >= set(names):
        record[kind] = {**record.get(kind, {}), **dict.fromkeys(names)}
        _write_record(folder, record)


def has_record(folder: Path, kind: str) -> bool:
    """Whether files of this kind were recorded in ``folder``."""
    return kind in _read_record(folder)


def note_change(folder: Path, name: str) -> None:
    """Keep the record of a folder true after one of its files was changed by a command whose task that is."""
    record = _read_record(folder)
    for files in record.values():
        if files.get(name) is not None:
            files[name] = (folder / name).lstat().st_size
            _write_record(folder, record)


def check_output_file(path: Path, inputs: Iterable[Path] = ()) -> None:
    """The rule on single files: what a command reads, or what was written as part of a folder, is not replaced.

    Args:
        inputs: files and folders that the command reads.

    Raises:
        GFNetError: names what would be lost.
    """
    if not path.is_file() or _is_stream(path):
        return
    target = Path(os.path.realpath(path))
    for source in inputs:
        within = source.is_dir() and target.is_relative_to(os.path.realpath(source)) and _may_be_read(target)
        if within or (source.is_file() and source.samefile(path)):
            raise GFNetError(f"{path}: is read, and would be replaced; choose another file")
    for folder in target.parents:
        for kind, names in _read_record(folder).items():
            if target.relative_to(folder).as_posix() in names:
                raise GFNetError(f"{path}: is part of the {kind} in {folder}; choose another file")


def check_writable(path: Path) -> None:
    """Find out before long work whether a file can be written.

    Raises:
        GFNetError: it is a folder, or its place takes no files.
    """
    if path.is_dir():
        raise GFNetError(f"{path}: is a folder; give a file")
    try:
        if not _is_stream(path):
            place = Path(os.path.realpath(path)).parent
            with tempfile.TemporaryFile(dir=next(folder for folder in (place, *place.parents) if folder.exists())):
                pass
    except OSError as error:
        raise _unwritable(path, error) from error


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


# -- writing -----------------------------------------------------------------------------------------


def _unwritable(path: Path, error: OSError) -> GFNetError:
    reason = error.strerror or str(error)
    return GFNetError(f"{path}: cannot write ({reason}); free some space or choose another place")


def _is_stream(path: Path) -> bool:
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
    with _temporary(target, "new") as temporary:
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        _sync_folder(target.parent)


@contextmanager
def _temporary(target: Path, role: Literal["new", "old"], *, folder: bool = False) -> Iterator[Path]:
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


def _sync_folder(path: Path) -> None:
    """Make renames in ``path`` last."""
    if os.name == "posix":
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# -- what may be replaced ----------------------------------------------------------------------------


def _never_replaced() -> Iterator[tuple[Path, str]]:
    with suppress(OSError):  # it may have been removed
        yield Path.cwd(), "the current folder"
    with suppress(RuntimeError):  # it may be unknown
        yield Path(os.path.realpath(Path.home())), "the home folder"


def _contents(folder: Path, within: str = "") -> Iterator[tuple[str, int]]:
    """Names and sizes of all files in a folder; links are files, and a folder counts if it is empty."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        name = within + entry.name
        if entry.is_dir(follow_symlinks=False):
            empty = True
            for found in _contents(folder / entry.name, f"{name}/"):
                empty = False
                yield found
            if empty:
                yield f"{name}/", 0
        elif entry.name not in _LITTER and name != RECORD:
            yield name, entry.stat(follow_symlinks=False).st_size


def _read_record(folder: Path) -> _Record:
    """What commands say they wrote in ``folder``; nothing where there is no record, or a damaged one."""
    path = folder / RECORD
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return {}
        content = json.loads(path.read_text(encoding="ascii"))
        return {
            str(kind): {str(name): size if isinstance(size, int) else None for name, size in files.items()}
            for kind, files in content.items()
        }
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}


def _write_record(folder: Path, record: Mapping[str, Mapping[str, int | None]]) -> None:
    write_text(folder / RECORD, json.dumps(record) + "\n")


def _may_be_read(file: Path) -> bool:
    """Whether a file in a folder that is read may be among what is read there: photos, shards, parts of a bundle."""
    from gfnet.inference.images import SUFFIXES

    suffixes = {*SUFFIXES, ".tar", ".npy", ".onnx", ".mlmodel", ".bin"}
    return file.suffix.lower() in suffixes or file.name.lower() in ("manifest.json", "classes.json")
