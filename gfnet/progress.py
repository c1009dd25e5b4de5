"""How far long work has come: a live bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_LOG_INTERVAL_S = 10.0


class Progress:
    """A context manager around ``total`` units of work.

    Args:
        title: what is being done, a word or two.
        total: number of units; :meth:`advance` counts them.
        unit: what is counted, in the plural ("images").
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self._note = ""
        self._start = self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=title, unit=f" {unit}", dynamic_ncols=True, leave=False)

    def advance(self, units: int = 1, note: str = "") -> None:
        """Count ``units`` as done; ``note`` is shown beside the count (accuracy, loss)."""
        self.done += units
        self._note = note or self._note
        if self._bar is not None:
            self._bar.update(units)
            if note:
                self._bar.set_postfix_str(note, refresh=False)
        elif time.monotonic() - self._last_line >= _LOG_INTERVAL_S:
            self._last_line = time.monotonic()
            self._line()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if kind is None:
            self._line()

    def _line(self) -> None:
        seconds = time.monotonic() - self._start
        note = f", {self._note}" if self._note else ""
        rate = f", {self.done / seconds:.0f} {self.unit}/s" if seconds > 0.5 else ""
        print(f"{self.title}: {self.done}/{self.total} {self.unit}{rate}{note}", file=sys.stderr, flush=True)
