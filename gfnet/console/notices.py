"""What a person should know although nothing failed: one line each on standard error, and each line once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gfnet.console.output import say
from gfnet.escaping import one_line

_LOGGER = logging.getLogger("gfnet")
_SHOWN = 3  # names in one line


def notice(text: str) -> None:
    """Say something; programs that use the library get it as a warning of the logger ``gfnet``."""
    _LOGGER.warning("%s", text)


def some_of(names: Sequence[str]) -> str:
    """The first names, and how many more there are: ``a.txt, b.mov, c.doc and 4 more``."""
    shown = ", ".join(map(one_line, names[:_SHOWN]))
    return shown + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")


@contextmanager
def notices_on_stderr() -> Iterator[None]:
    """While a command runs, show notices as its other lines; of several ranks only the first prints them."""
    handler = _OnceOnStderr()
    propagate = _LOGGER.propagate
    _LOGGER.addHandler(handler)
    _LOGGER.propagate = False
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.propagate = propagate


class _OnceOnStderr(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if text not in self.said and os.environ.get("RANK", "0") == "0":
            self.said.add(text)
            say(f"gfnet: {text}", err=True)
