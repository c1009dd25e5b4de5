"""Files that are either whole or absent.

Everything is written under a temporary name beside its target and renamed, so an interrupted command or a
full disk never leaves half a file under the final name.  Single files are synced first, so that a power failure
does not either; of the many files of a folder that is left to the system.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gfnet.errors import GFNetError


def _unwritable(path: Path, error: OSError) -> GFNetError:
    reason = error.strerror or str(error)
    return GFNetError(f"{path}: cannot write ({reason}); free some space or choose another place")


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; on success it becomes ``path``, on failure it is removed.

    Raises:
        GFNetError: the disk is full, or the place is not writable.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder; on success it becomes ``path``, on failure it is removed.

    Args:
        overwrite: replace an existing folder once the new one is complete.

    Raises:
        GFNetError: ``path`` exists and holds something, the disk is full, or the place is not writable.
    """
    path = Path(path) if Path(path).name else Path(path).absolute()  # "." cannot be renamed
    if path.exists() and not path.is_dir():
        raise GFNetError(f"{path}: is a file; choose another output folder")
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise GFNetError(f"{path}: already exists; choose another folder or pass --overwrite")
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        if path.exists():
            retired = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            os.replace(path, retired / path.name)
            try:
                os.replace(temporary, path)
            except BaseException:
                os.replace(retired / path.name, path)
                raise
            finally:
                shutil.rmtree(retired, ignore_errors=True)
        else:
            os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def refuse_own_source(out: Path, sources: Iterable[Path]) -> None:
    """Replacing the folder ``out`` must not remove what it is made of, nor may it lie where that is looked for.

    Raises:
        GFNetError: it would, or does.
    """
    target = out.resolve()
    for folder in sources:
        source = folder.resolve()
        if source.is_relative_to(target) or target.is_relative_to(source):
            raise GFNetError(f"{out}: holds the images of {folder} or lies among them; choose another output folder")


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def _sync_folder(path: Path) -> None:
    """Make renames in ``path`` last."""
    if os.name == "posix":
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
