"""A runner for servers: many requests at once, sorted by the step they are at.

Nothing here knows what runs the steps; a runner must stand several threads, as
:class:`gfnet_export.runtime.OnnxRunner` does.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np

from gfnet.adaptive import StepRunner, walk
from gfnet.images import Preprocessing, load_image
from gfnet.traces import StepTrace, Trace


class AsyncClassifier:
    """Classifies the requests of one event loop, each only as far as it must.

    Requests wait by the step they are at.  A worker takes up to ``group`` of those that are furthest and runs their
    step for one after another: that step's weights stay in the cache, and who has begun leaves before others enter.
    So at most ``workers * group`` requests hold decoded pixels and buffers; the others wait.  A trace is what
    :func:`gfnet.adaptive.classify` gives for that image alone.

    ``async with`` starts the workers.  Leaving it waits for all requests; leaving it by an exception, cancellation
    included, cancels them.  A cancelled request ends when its turn comes or the step that it is in is done.

    Args:
        runner: takes one image at a time, from several threads.
        preprocessing: from a picture to the runner's pixels; ``None`` if requests bring pixels.
        workers: threads that run steps.
        group: requests that a worker takes at once.

    Raises:
        ValueError: ``workers`` or ``group`` is below 1.
    """

    def __init__(
        self, runner: StepRunner, preprocessing: Preprocessing | None = None, *, workers: int = 1, group: int = 8
    ) -> None:
        if workers < 1 or group < 1:
            raise ValueError(f"{workers} workers, groups of {group}: use 1 or more")
        self._runner, self._preprocessing, self._group = runner, preprocessing, group
        self._waiting: list[deque[_Request]] = [deque() for _ in range(runner.steps)]  # by step
        self._changed = threading.Condition()  # guards the queues; a request is in one, or in a worker's hands
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        self._answers: set[asyncio.Future[Trace]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    async def __call__(self, image: Any, thresholds: Sequence[float] | None = None, name: str = "") -> Trace:
        """Classify one image.

        Args:
            image: as :func:`gfnet.images.load_image` takes it, decoded by a worker; pixels uint8 [S,S,3] where there
                is no preprocessing.
            thresholds: T exit thresholds; ``None`` runs all steps.
            name: for the trace.

        Raises:
            ImageError: it cannot be read.
            RuntimeError: the classifier is not open.
            ValueError: there is not one threshold for each step.
        """
        if self._loop is None:
            raise RuntimeError("the classifier is not open; call it inside `async with`")
        if thresholds is not None and len(thresholds) != self._runner.steps:
            raise ValueError(f"{len(thresholds)} thresholds for {self._runner.steps} steps; give one for each")
        history: list[StepTrace] = []
        request = _Request(name, self._steps(image, thresholds, name, history), history, self._loop.create_future())
        self._answers.add(request.answer)
        self._put([(1, request)])
        try:
            return await request.answer
        finally:
            self._answers.discard(request.answer)

    async def __aenter__(self) -> AsyncClassifier:
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop = None
        try:
            if kind is None and self._answers:
                await asyncio.wait(self._answers)
        finally:
            for answer in self._answers:
                answer.cancel()
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for thread in self._threads:
                await asyncio.to_thread(thread.join)

    def _steps(
        self, image: Any, thresholds: Sequence[float] | None, name: str, history: list[StepTrace]
    ) -> Generator[int, None, None]:
        pixels = image if self._preprocessing is None else self._preprocessing(load_image(image, name))
        yield from walk(self._runner, np.asarray(pixels)[None], thresholds, [name], [history])

    def _work(self) -> None:
        while group := self._take():
            self._put([(step, request) for request in group if (step := request.advance()) is not None])

    def _take(self) -> list[_Request]:
        """The next group; none once the classifier is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or any(self._waiting))
            queue = next((queue for queue in reversed(self._waiting) if queue), ())
            return [queue.popleft() for _ in range(min(len(queue), self._group))] if queue else []

    def _put(self, requests: list[tuple[int, _Request]]) -> None:
        with self._changed:
            for step, request in requests:
                self._waiting[step - 1].append(request)
            self._changed.notify_all()


@dataclass(eq=False)
class _Request:
    name: str
    steps: Generator[int, None, None]
    history: list[StepTrace] = field(repr=False)
    answer: asyncio.Future[Trace]

    def advance(self) -> int | None:
        """Run one step, in a worker: the step that comes next, or ``None`` if it was the last."""
        if self.answer.cancelled():
            self.steps.close()
            return None
        try:
            step = next(self.steps, None)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold the buffers for as long as somebody keeps the error
            self._settle(error)
            return None
        if step is None:
            self._settle(Trace(self.name, tuple(self.history)))
        return step

    def _settle(self, result: Trace | BaseException) -> None:
        def tell() -> None:
            if self.answer.done():  # cancelled meanwhile
                return
            if isinstance(result, BaseException):
                self.answer.set_exception(result)
            else:
                self.answer.set_result(result)

        self.answer.get_loop().call_soon_threadsafe(tell)
