"""How far long work has come: a live bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from gfnet.console.output import say
from gfnet.escaping import one_line

_LOG_INTERVAL_S = 10.0


class Progress:
    """A context manager around ``total`` units of work.

    Args:
        title: what is being done, a word or two.
        total: number of units; :meth:`advance` counts them.
        unit: what is counted, in the plural ("images").
        done: number of units that were done before.
        quiet: show nothing; for all ranks but the first.
    """

    def __init__(self, title: str, total: int, unit: str, *, done: int = 0, quiet: bool = False) -> None:
        self.title, self.total, self.unit, self.quiet = title, total, unit, quiet
        self.done = self._done_before = done
        self._note = ""
        self._start = self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty() and not quiet:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, initial=done, desc=one_line(title, None), unit=f" {unit}", dynamic_ncols=True, leave=False
            )

    def advance(self, units: int = 1, note: str = "") -> None:
        """Count ``units`` as done; ``note`` is shown beside the count (accuracy, loss)."""
        self.done += units
        self._note = note or self._note
        if self._bar is not None:
            self._bar.update(units)
            if note:
                self._bar.set_postfix_str(one_line(note, None), refresh=False)
        elif not self.quiet and time.monotonic() - self._last_line >= _LOG_INTERVAL_S:
            self._last_line = time.monotonic()
            self._line()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if kind is None and not self.quiet:
            self._line()

    def _line(self) -> None:
        seconds = time.monotonic() - self._start
        note = f", {self._note}" if self._note else ""
        rate = ""
        if seconds > 0.5 and self.done > self._done_before:
            per_second = (self.done - self._done_before) / seconds
            rate = f", {per_second:.{0 if per_second >= 10 else 1}f} {self.unit}/s"
            if self.done < self.total:
                rate += f", {_duration((self.total - self.done) / per_second)} left"
        say(f"{self.title}: {self.done}/{self.total} {self.unit}{rate}{note}", err=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
