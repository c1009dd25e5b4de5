"""Converters without their chatter."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


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
