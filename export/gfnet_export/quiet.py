"""Converters without their chatter."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

_STDERR = 2  # the descriptor that the system knows it by


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silence what the exporters' libraries print: progress of their own, and news of versions and systems.

    Some also set up logging for the whole process when they are imported; that is undone.
    """
    disabled, level, handlers = logging.root.manager.disable, logging.root.level, logging.root.handlers[:]
    logging.disable(logging.WARNING)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logging.root.setLevel(level)
        logging.root.handlers[:] = handlers


@contextlib.contextmanager
def natively_quiet() -> Iterator[None]:
    """Silence what code other than Python's writes to standard error, of the whole process; for short moments."""
    sys.stderr.flush()
    kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)
