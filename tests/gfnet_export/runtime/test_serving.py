from __future__ import annotations

import asyncio
import gc
import threading

import numpy as np
import pytest

from gfnet.errors import ImageError, ServingError
from gfnet.inference.adaptive import classify
from gfnet.inference.images import find_images, load_image
from gfnet_export.runtime.onnx_runtime import OnnxRunner, bundle_predictor, open_bundle_sessions
from gfnet_export.runtime.runner import predictor_over
from gfnet_export.runtime.serving import AsyncClassifier
from trace_support import assert_same_traces

NEVER = (9, 9, 9)
DEADLINE_S = 60  # of a wait that must end; nothing is timed


class Watched(OnnxRunner):
    """Notes the step and image of every call; stops before the steps whose gate is shut."""

    def __init__(self, manifest, sessions):
        super().__init__(manifest, sessions)
        self.calls, self.made = [], 0
        self.reached = {step: threading.Event() for step in (1, 2, 3)}
        self.gates = {step: threading.Event() for step in (1, 2, 3)}
        for gate in self.gates.values():
            gate.set()

    def glance(self, pixels):
        self._pass(1, pixels)
        return super().glance(pixels)

    def focus(self, origins, state, step):
        self._pass(step, state.pixels)
        return super().focus(origins, state, step)

    def _pass(self, step, pixels):
        self.calls.append((step, int(pixels[0, 0, 0, 0])))
        self.reached[step].set()
        assert self.gates[step].wait(DEADLINE_S)

    def _take(self):
        self.made += not self._free
        return super()._take()

    @property
    def free(self):
        gc.collect()
        return len(self._free)


@pytest.fixture(scope="module")
def sessions(onnx_bundle):
    return open_bundle_sessions(onnx_bundle)


@pytest.fixture
def runner(onnx_bundle, sessions):
    return Watched(onnx_bundle.manifest, sessions)


def picture(number):
    """Pixels that carry their number in the first one."""
    pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    pixels[0, 0, 0] = number
    return pixels


async def reached(runner, step):
    assert await asyncio.to_thread(runner.reached[step].wait, DEADLINE_S)


async def turns(count=5):
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("workers", "group"), [(1, 1), (1, 8), (4, 3)])
def test_every_request_is_decided_as_if_it_were_alone(onnx_bundle, checkpoint, runner, scenes, workers, group):
    photos = find_images([scenes / "val"])
    points = checkpoint.evaluation.budgeted
    limits = [points[i % len(points)].thresholds if i % 5 else None for i in range(len(photos))]
    preprocessing = predictor_over(onnx_bundle.manifest, runner).preprocessing
    alone = [
        classify(runner, preprocessing(load_image(photo))[None], limit, [str(photo)])[0]
        for photo, limit in zip(photos, limits, strict=True)
    ]
    assert {trace.exit_step for trace in alone} == {1, 2, 3}

    async def serve():
        async with AsyncClassifier(runner, preprocessing, workers=workers, group=group) as classifier:
            calls = (classifier(photo, limit, str(photo)) for photo, limit in zip(photos, limits, strict=True))
            return await asyncio.gather(*calls)

    assert_same_traces(asyncio.run(serve()), alone)


def test_those_that_are_furthest_go_first_in_groups(runner):
    async def serve():
        runner.gates[1].clear()
        async with AsyncClassifier(runner, group=2) as classifier:
            first = asyncio.create_task(classifier(picture(0), NEVER))
            await reached(runner, 1)  # the worker has number 0 alone; the others come meanwhile
            rest = [asyncio.create_task(classifier(picture(i), (0, 0, 0) if i == 2 else NEVER)) for i in (1, 2, 3)]
            await turns()
            runner.gates[1].set()
            await asyncio.gather(first, *rest)

    asyncio.run(serve())
    alone = [(1, 0), (2, 0), (3, 0)]
    pair = [(1, 1), (1, 2), (2, 1), (3, 1)]  # number 2 is sure at once
    last = [(1, 3), (2, 3), (3, 3)]
    assert runner.calls == alone + pair + last


@pytest.mark.parametrize(("workers", "group"), [(1, 3), (3, 2)])
def test_no_more_are_begun_than_the_workers_can_hold(runner, workers, group):
    async def serve():
        async with AsyncClassifier(runner, workers=workers, group=group) as classifier:
            await asyncio.gather(*(classifier(picture(i), NEVER) for i in range(40)))

    asyncio.run(serve())
    assert len(runner.calls) == 3 * 40
    assert runner.made <= workers * group
    assert runner.free == runner.made


def test_a_group_s_buffers_are_used_again_by_the_next(runner):
    async def serve():
        async with AsyncClassifier(runner, group=4) as classifier:
            for _ in range(3):
                await asyncio.gather(*(classifier(picture(i), NEVER) for i in range(4)))

    asyncio.run(serve())
    assert 1 <= runner.made <= 4
    assert runner.free == runner.made


def test_a_cancelled_request_disturbs_nobody(runner):
    alone = classify(runner, picture(1)[None], NEVER, ["kept"])

    async def serve():
        runner.gates[2].clear()
        async with AsyncClassifier(runner) as classifier:
            runner.reached[2].clear()
            running = asyncio.create_task(classifier(picture(0), NEVER))
            await reached(runner, 2)
            kept, waiting = (asyncio.create_task(classifier(picture(i), NEVER, "kept")) for i in (1, 2))
            await turns()
            running.cancel()
            waiting.cancel()
            done = await asyncio.wait_for(asyncio.gather(running, waiting, return_exceptions=True), DEADLINE_S)
            assert [type(error) for error in done] == [asyncio.CancelledError] * 2
            runner.calls.clear()
            runner.gates[2].set()
            return await kept

    assert_same_traces([asyncio.run(serve())], alone)
    # The step that was running ended; number 0 went no further, and number 2 was never begun.
    assert runner.calls == [(1, 1), (2, 1), (3, 1)]
    assert runner.free == runner.made


def test_a_request_cancelled_while_a_worker_runs_its_neighbour_goes_no_further(runner):
    async def serve():
        runner.gates[1].clear()
        runner.gates[2].clear()
        async with AsyncClassifier(runner, group=2) as classifier:
            first = asyncio.create_task(classifier(picture(0), (0, 0, 0)))
            await reached(runner, 1)
            kept, cancelled = (asyncio.create_task(classifier(picture(i), NEVER)) for i in (1, 2))
            await turns()
            runner.gates[1].set()
            await reached(runner, 2)  # both have had their glance
            cancelled.cancel()
            await turns()
            assert cancelled.cancelled()
            runner.gates[2].set()
            await asyncio.gather(first, kept)

    asyncio.run(serve())
    assert runner.calls == [(1, 0), (1, 1), (1, 2), (2, 1), (3, 1)]
    assert runner.free == runner.made


def test_an_error_reaches_its_own_request_only(onnx_bundle, runner, scenes, odd_images):
    photos = find_images([scenes / "val"])[:6]
    preprocessing = predictor_over(onnx_bundle.manifest, runner).preprocessing

    async def serve():
        async with AsyncClassifier(runner, preprocessing) as classifier:
            sources = [*photos[:3], odd_images / "empty.png", *photos[3:], odd_images / "no such.png"]
            return await asyncio.gather(*(classifier(photo) for photo in sources), return_exceptions=True)

    results = asyncio.run(serve())
    assert [isinstance(result, ImageError) for result in results] == [False] * 3 + [True] + [False] * 3 + [True]
    assert "empty.png" in str(results[3])
    assert all(trace.exit_step == 3 for trace in results[:3] + results[4:7])


def test_a_step_that_fails_gives_its_buffers_back_though_the_error_is_kept(runner):
    async def serve():
        async with AsyncClassifier(runner) as classifier:
            small = picture(0)[:50]  # the glance can be made of it, a patch not
            return await asyncio.gather(classifier(small), classifier(picture(1)), return_exceptions=True)

    error, trace = asyncio.run(serve())
    assert isinstance(error, ValueError)
    assert trace.exit_step == 3
    assert runner.free == runner.made


def test_closing_waits_for_what_is_in_flight(runner):
    async def serve():
        runner.gates[2].clear()
        async with AsyncClassifier(runner) as classifier:
            tasks = [asyncio.create_task(classifier(picture(i), NEVER)) for i in range(3)]
            await reached(runner, 2)
            asyncio.get_running_loop().call_soon(runner.gates[2].set)
        assert [trace.exit_step for trace in await asyncio.gather(*tasks)] == [3, 3, 3]
        with pytest.raises(RuntimeError, match="not open"):
            await classifier(picture(0))

    threads = threading.active_count()
    asyncio.run(serve())
    assert threading.active_count() == threads


def test_leaving_by_an_error_ends_what_is_in_flight_with_one_that_says_so(runner):
    async def serve():
        runner.gates[1].clear()
        with pytest.raises(KeyError):
            async with AsyncClassifier(runner) as classifier:
                tasks = [asyncio.create_task(classifier(picture(i))) for i in range(3)]
                await reached(runner, 1)
                asyncio.get_running_loop().call_later(0.05, runner.gates[1].set)
                raise KeyError
        return await asyncio.gather(*tasks, return_exceptions=True)

    threads = threading.active_count()
    ended = asyncio.run(serve())
    assert [type(error) for error in ended] == [ServingError] * 3
    assert {str(error) for error in ended} == {"the classifier was closed before this request was answered"}
    assert runner.calls == [(1, 0)]
    assert runner.free == runner.made
    assert threading.active_count() == threads


@pytest.mark.parametrize("sizes", [{"workers": 0}, {"group": 0}, {"most_waiting": 0}])
def test_nobody_works_without_workers_or_groups(runner, sizes):
    with pytest.raises(ValueError, match="use 1 or more"):
        AsyncClassifier(runner, **sizes)


def test_no_more_wait_than_may_and_an_answer_makes_room(runner):
    async def serve():
        runner.gates[1].clear()
        async with AsyncClassifier(runner, most_waiting=3) as classifier:
            taken = [asyncio.create_task(classifier(picture(i), NEVER)) for i in range(3)]
            await turns()
            more = await asyncio.gather(*(classifier(picture(0)) for _ in range(20_000)), return_exceptions=True)
            runner.gates[1].set()
            answers = await asyncio.gather(*taken)
            return more, answers, await classifier(picture(4), NEVER)

    more, answers, later = asyncio.run(serve())
    assert {type(error) for error in more} == {ServingError}
    assert {str(error) for error in more} == {"3 requests wait already; try again later, or allow most_waiting more"}
    assert [trace.exit_step for trace in (*answers, later)] == [3] * 4
    assert len(runner.calls) == 3 * 4


def test_a_cancelled_request_gives_its_place_back_at_once(runner):
    async def serve():
        runner.gates[1].clear()
        async with AsyncClassifier(runner, most_waiting=2) as classifier:
            running = asyncio.create_task(classifier(picture(0), NEVER))
            await reached(runner, 1)
            for number in range(1, 50):  # while the worker is busy
                waiting = asyncio.create_task(classifier(picture(number), NEVER))
                await turns()
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                assert not any(classifier._waiting)  # the picture is not kept until its turn
            last = asyncio.create_task(classifier(picture(50), NEVER))
            await turns()
            runner.gates[1].set()
            await asyncio.gather(running, last)

    asyncio.run(serve())
    assert {number for _, number in runner.calls} == {0, 50}
    assert runner.free == runner.made


def test_it_can_be_opened_again_in_another_loop(runner):
    classifier = AsyncClassifier(runner)

    async def serve(number):
        async with classifier:
            return await classifier(picture(number), NEVER)

    async def fail():
        runner.gates[1].clear()
        async with classifier:
            asyncio.create_task(classifier(picture(9))).add_done_callback(lambda task: task.exception())
            await reached(runner, 1)
            asyncio.get_running_loop().call_later(0.05, runner.gates[1].set)
            raise KeyError

    threads = threading.active_count()
    first = asyncio.run(serve(1))
    runner.reached[1].clear()
    with pytest.raises(KeyError):
        asyncio.run(fail())
    assert_same_traces([asyncio.run(serve(1))], [first])
    assert threading.active_count() == threads
    assert runner.free == runner.made


def test_it_cannot_be_opened_twice_at_once(runner):
    async def serve():
        async with AsyncClassifier(runner) as classifier:
            with pytest.raises(RuntimeError, match="open already; leave it first, or make another one"):
                await classifier.__aenter__()
            return await classifier(picture(0), NEVER)

    assert asyncio.run(serve()).exit_step == 3


def test_thresholds_of_another_number_are_refused_at_once(onnx_bundle):
    async def ask():
        async with AsyncClassifier(bundle_predictor(onnx_bundle).runner) as classify:
            await classify(np.zeros((96, 96, 3), np.uint8), thresholds=(0.8,))

    with pytest.raises(ValueError, match="1 thresholds for 3 steps; give one for each"):
        asyncio.run(ask())
