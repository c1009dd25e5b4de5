"""What commands say to people: the one door to standard output and standard error.

A reader that has left, as in ``gfnet predict ... | head -1``, is not an error: the command does its work to the end,
says nothing more, and ends with the exit code that it would have had.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import sys
import traceback
import warnings
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from types import TracebackType
from typing import Any, TextIO

from gfnet.escaping import as_lines


def say(*text: str, err: bool = False) -> None:
    """Print lines, each escaped by :func:`gfnet.escaping.one_line`; of :class:`~gfnet.escaping.Lines` every line.

    Args:
        err: on standard error, where everything goes that is not the answer.
    """
    write(as_lines(text) + "\n", sys.stderr if err else sys.stdout)


def write(text: str, stream: TextIO | None) -> None:
    """Write text as it is, which must hold nothing that a terminal obeys (JSON, for one), to one of the two."""
    if stream is None:  # started without it
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _leave(stream)


def reader_left() -> bool:
    """Whether the reader of standard output or standard error has left; further output is then discarded."""
    streams = (sys.stdout, sys.stderr, sys.__stdout__)  # the last where the first is turned away
    left = [stream for stream in streams if stream is not None and _is_left(stream)]
    for stream in left:
        _leave(stream)
    return bool(left)


def start() -> None:
    """Prepare the process of a command: a crash of the interpreter shows where it was, a traceback is escaped."""
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")  # of processes that this one starts
    sys.excepthook = _say_traceback
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("RANK", "0") == "0":
        sys.meta_path.insert(0, _TorchImport())


class _TorchImport(MetaPathFinder):
    """Finds no module, but tells the person at a terminal why nothing happens for some seconds."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "torch":
            sys.meta_path.remove(self)
            say("gfnet: loading torch ...", err=True)


def finish() -> None:
    """Write what is left, so that the interpreter does not complain when it ends."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            _leave(stream)
        except ValueError:  # closed
            continue


@contextlib.contextmanager
def warnings_hushed(debug: bool) -> Iterator[None]:
    """Keep libraries' Python warnings from the user, or say each on a line where ``debug``.

    They are about this project's code, and tell a user of commands nothing to do.
    """

    def log(message: Warning | str, category: type[Warning], file: str, line: int, *_rest: Any) -> None:
        if debug:
            say(f"gfnet: {category.__name__} at {file}:{line}: {message}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = log  # type: ignore[assignment]  # whatever filters libraries set
        yield


def _is_left(stream: TextIO) -> bool:
    try:
        watched = select.poll()
        watched.register(stream.fileno(), 0)  # what is wrong is always told
    except (OSError, ValueError):  # no file of the system's
        return False
    return bool(watched.poll(0))


def _leave(stream: TextIO) -> None:
    """Let everything that is still written to ``stream`` vanish."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _say_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    for part in traceback.format_exception(kind, error, trace):
        say(*part.splitlines(), err=True)
