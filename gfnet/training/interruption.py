"""Being asked to stop, and stopping where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

from gfnet.distributed import sum_over_ranks

T = TypeVar("T")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):  # noqa: N818  no error: the run did as it was told
    """A signal ended the run after its state was saved.

    Attributes:
        exit_code: 128 plus the signal's number: 143 for SIGTERM, 130 for Ctrl-C.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Interruption:
    """Inside, SIGTERM and the first Ctrl-C only leave a note; a second Ctrl-C ends everything at once."""

    def __init__(self) -> None:
        self.number = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check_all_ranks(self) -> None:
        """Raise :class:`Stopped` on every rank if any of them was asked to stop."""
        asked, number = sum_over_ranks([bool(self.number), self.number])
        if asked:
            raise Stopped(round(number / asked))

    def watch(self, items: Iterable[T]) -> Iterator[T]:
        """``items``, until this rank is asked to stop; for work that the ranks do apart from each other."""
        for item in items:
            if self.number:
                raise Stopped(self.number)
            yield item

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.number == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.number = number
