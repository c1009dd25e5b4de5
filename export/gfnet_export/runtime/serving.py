"""A runner for servers: many requests at once, sorted by the step they are at.

Nothing here knows what runs the steps; a runner must stand several threads, as
:class:`gfnet_export.runtime.onnx_runtime.OnnxRunner` does.
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

from gfnet.errors import ServingError
from gfnet.inference.adaptive import StepRunner, walk
from gfnet.inference.images import Preprocessing, load_image
from gfnet.inference.traces import StepTrace, Trace


class AsyncClassifier:
    """Classifies the requests of one event loop, each only as far as it must.

    Requests wait by the step they are at.  A worker takes up to ``group`` of those that are furthest and runs their
    step for one after another: that step's weights stay in the cache, and who has begun leaves before others enter.
    So at most ``workers * group`` requests hold decoded pixels and buffers; the others wait.  A trace is what
    :func:`gfnet.inference.adaptive.classify` gives for that image alone.

    ``async with`` starts the workers, and may be entered again once it was left.  Leaving it waits for all requests;
    leaving it by an exception, cancellation included, ends them with a :class:`gfnet.errors.ServingError`.

    No more than ``most_waiting`` requests may be unanswered at once; one more is refused with a ``ServingError`` and
    not kept waiting, since those that wait for a place would be an unbounded queue again.  A cancelled request gives
    its place back at once; if a worker has it in hand, that ends it after the step that it is in.

    Args:
        runner: takes one image at a time, from several threads.
        preprocessing: from a picture to the runner's pixels; ``None`` if requests bring pixels.
        workers: threads that run steps.
        group: requests that a worker takes at once.
        most_waiting: unanswered requests, those in the workers' hands included.

    Raises:
        ValueError: ``workers``, ``group`` or ``most_waiting`` is below 1.
    """

    def __init__(
        self,
        runner: StepRunner,
        preprocessing: Preprocessing | None = None,
        *,
        workers: int = 1,
        group: int = 8,
        most_waiting: int = 1000,
    ) -> None:
        if workers < 1 or group < 1 or most_waiting < 1:
            raise ValueError(f"{workers} workers, groups of {group}, {most_waiting} waiting: use 1 or more")
        self._runner, self._preprocessing = runner, preprocessing
        self._workers, self._group, self._most_waiting = workers, group, most_waiting
        self._waiting: list[deque[_Request]] = [deque() for _ in range(runner.steps)]  # by step
        self._changed = threading.Condition()  # guards the queues; a request is in one, or in a worker's hands
        self._threads: list[threading.Thread] = []  # none while it is closed
        self._answers: set[asyncio.Future[Trace]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = object()  # a worker works for the one that it was started by

    async def __call__(self, image: Any, thresholds: Sequence[float] | None = None, name: str = "") -> Trace:
        """Classify one image.

        Args:
            image: as :func:`gfnet.inference.images.load_image` takes it, decoded by a worker; pixels uint8 [S,S,3]
                where there is no preprocessing.
            thresholds: T exit thresholds; ``None`` runs all steps.
            name: for the trace.

        Raises:
            ImageError: it cannot be read.
            RuntimeError: the classifier is not open.
            ServingError: too many requests wait already, or the classifier is closed before this one is answered.
            ValueError: there is not one threshold for each step.
        """
        if self._loop is None:
            raise RuntimeError("the classifier is not open; call it inside `async with`")
        if thresholds is not None and len(thresholds) != self._runner.steps:
            raise ValueError(f"{len(thresholds)} thresholds for {self._runner.steps} steps; give one for each")
        if len(self._answers) >= self._most_waiting:
            raise ServingError(
                f"{len(self._answers):,} requests wait already; try again later, or allow most_waiting more"
            )
        history: list[StepTrace] = []
        request = _Request(name, self._steps(image, thresholds, name, history), history, self._loop.create_future())
        self._answers.add(request.answer)
        self._put([(1, request)])
        try:
            return await request.answer
        finally:
            self._answers.discard(request.answer)
            if request.answer.cancelled():
                self._withdraw(request)

    async def __aenter__(self) -> AsyncClassifier:
        if self._threads:
            raise RuntimeError("the classifier is open already; leave it first, or make another one")
        self._loop, self._opening = asyncio.get_running_loop(), object()
        self._threads = [
            threading.Thread(target=self._work, args=(self._opening,), daemon=True) for _ in range(self._workers)
        ]
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
                if not answer.done():
                    answer.set_exception(ServingError("the classifier was closed before this request was answered"))
            with self._changed:
                self._opening = object()
                for queue in self._waiting:
                    for request in queue:
                        request.steps.close()
                    queue.clear()
                self._changed.notify_all()
            threads, self._threads = self._threads, []
            for thread in threads:
                await asyncio.to_thread(thread.join)

    def _steps(
        self, image: Any, thresholds: Sequence[float] | None, name: str, history: list[StepTrace]
    ) -> Generator[int, None, None]:
        pixels = image if self._preprocessing is None else self._preprocessing(load_image(image, name))
        yield from walk(self._runner, np.asarray(pixels)[None], thresholds, [name], [history])

    def _work(self, opening: object) -> None:
        while group := self._take(opening):
            self._put([(step, request) for request in group if (step := request.advance()) is not None])

    def _take(self, opening: object) -> list[_Request]:
        """The next group; none once the classifier is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._opening is not opening or any(self._waiting))
            if self._opening is not opening:
                return []
            queue = next(queue for queue in reversed(self._waiting) if queue)
            return [queue.popleft() for _ in range(min(len(queue), self._group))]

    def _put(self, requests: list[tuple[int, _Request]]) -> None:
        with self._changed:
            for step, request in requests:
                if request.answer.done():  # meanwhile; nobody would take it out of the queue again
                    request.steps.close()
                else:
                    self._waiting[step - 1].append(request)
            self._changed.notify_all()

    def _withdraw(self, request: _Request) -> None:
        """Take a cancelled request out of its queue, with the picture that it holds."""
        with self._changed:
            for queue in self._waiting:
                if request in queue:
                    queue.remove(request)
                    request.steps.close()


@dataclass(eq=False)
class _Request:
    name: str
    steps: Generator[int, None, None]
    history: list[StepTrace] = field(repr=False)
    answer: asyncio.Future[Trace]

    def advance(self) -> int | None:
        """Run one step, in a worker: the step that comes next, or ``None`` if it was the last."""
        if self.answer.done():  # cancelled, or the classifier is closed
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
