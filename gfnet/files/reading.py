"""Files that others wrote: read within bounds, and JSON that is what it claims to be."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

from gfnet.errors import DataError, GFNetError
from gfnet.escaping import one_line

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def open_regular(path: str | Path, error: type[GFNetError] = DataError) -> BinaryIO:
    """Open a file for reading; a pipe or a device, which might never end or never begin, is refused at once.

    Raises:
        FileNotFoundError: there is none.
        GFNetError: of the class ``error``; it is not a regular file, or may not be read.
    """
    try:
        # A pipe would otherwise wait for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except OSError as reason:
        raise error(f"{path}: cannot be read ({reason.strerror}); check the path and its permissions") from reason
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise error(f"{path}: is {kind}; give a file")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: str | Path, most: int, error: type[GFNetError] = DataError) -> bytes:
    """A whole file of at most ``most`` bytes.

    Raises:
        FileNotFoundError: there is none.
        GFNetError: of the class ``error``; it is not a regular file, may not be read, or is larger.
    """
    with open_regular(path, error) as stream:
        try:
            content = stream.read(most + 1)
        except OSError as reason:
            raise error(f"{path}: cannot be read ({reason.strerror}); check the disk") from reason
    if len(content) > most:
        raise error(f"{path}: is larger than {most:,} bytes; give the right file")
    return content


def parse_json(content: bytes, path: str | Path, error: type[GFNetError] = DataError) -> Any:
    """JSON in UTF-8: every name of an object once, finite numbers, text without half characters.

    Args:
        path: what to call it in an error.

    Raises:
        GFNetError: of the class ``error``; it is something else.
    """
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise error(f"{path}: not JSON (half of a character, as \\ud800); correct the file") from None
    except RecursionError:
        raise error(f"{path}: not JSON that can be read (nested too deeply); correct the file") from None
    except ValueError as reason:
        raise error(f"{path}: not JSON ({one_line(reason)}); correct the file") from reason
    return value


def read_json(path: str | Path, most: int, error: type[GFNetError] = DataError) -> Any:
    """The value in a JSON file of at most ``most`` bytes; see :func:`read_bytes` and :func:`parse_json`."""
    return parse_json(read_bytes(path, most, error), path, error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
