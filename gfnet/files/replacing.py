"""The rule on what a command may replace: what it wrote itself, and never what somebody else wrote.

A command leaves a record (``.gfnet.json``) of what it wrote in a folder, so that it knows its own when it is asked
to replace it: :func:`check_folder`, :func:`check_files` and :func:`check_output_file` are all that decides about that.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gfnet.errors import GFNetError
from gfnet.files.formats import IMAGE_SUFFIXES
from gfnet.files.temporary import remove_stale, temporary_beside
from gfnet.files.writing import is_stream, unwritable, write_text

RECORD = ".gfnet.json"
"""What a command wrote in a folder: for each kind of output the files' names, and their sizes in bytes where they
do not change any more."""

_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # file managers leave it wherever somebody looks

_Record = dict[str, dict[str, int | None]]


@contextmanager
def atomic_folder(
    path: str | Path, kind: str, *, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield a temporary folder; on success it becomes ``path``, on failure it is removed.  A link is followed.

    Its files are not synced one by one: whether they outlast a power failure is left to the system.

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
        with temporary_beside(target, "new", folder=True) as temporary:
            yield temporary
            _write_record(temporary, {kind: dict(_contents(temporary))})
            check_folder(path, kind, overwrite=overwrite)  # much may have happened since
            if target.exists():
                with temporary_beside(target, "old", folder=True) as retired:
                    os.replace(target, retired / target.name)
                    os.replace(temporary, target)
            else:
                os.replace(temporary, target)
    except OSError as error:
        raise unwritable(path, error) from error


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
    if not path.is_file() or is_stream(path):
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
    suffixes = {*IMAGE_SUFFIXES, ".tar", ".npy", ".onnx", ".mlmodel", ".bin"}
    return file.suffix.lower() in suffixes or file.name.lower() in ("manifest.json", "classes.json")
