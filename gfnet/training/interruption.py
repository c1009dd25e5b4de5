"""Being asked to stop, and stopping where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

from gfnet.distributed import RankError, sum_over_ranks
from gfnet.errors import GFNetError

T = TypeVar("T")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):  # noqa: N818  no error: the run did as it was told
    """A signal ended the run after its state was saved.

    Attributes:
        exit_code: 128 plus the signal's number: 143 for SIGTERM, 130 for Ctrl-C.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number

    def __str__(self) -> str:
        return signal.Signals(self.exit_code - 128).name


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

    def check_all_ranks(self, failure: GFNetError | None = None) -> None:
        """Raise on every rank if any of them cannot go on or was asked to stop.

        Args:
            failure: why this rank cannot go on.

        Raises:
            GFNetError: ``failure``, or that another rank has one.
            Stopped: a rank was asked to stop; by SIGTERM, where signals differ.
        """
        failed, *asked = sum_over_ranks([failure is not None, *(self.number == number for number in _SIGNALS)])
        if failure is not None:
            raise failure
        if failed:
            raise RankError("another rank cannot go on; see its own message")
        for number, ranks in zip(_SIGNALS, asked, strict=True):
            if ranks:
                raise Stopped(number)

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
