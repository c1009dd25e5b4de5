"""``gfnet bench core``: the core's own hot paths, each against the plain way to do the same."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor

from gfnet.checkpoint import Checkpoint
from gfnet.checkpoint.predictor import TorchRunner
from gfnet.evaluation import exit_quotas
from gfnet.inference.adaptive import classify
from gfnet.inference.exits import ALWAYS, default_point, search_thresholds
from gfnet.inference.images import Preprocessing, load_image
from gfnet.network.patches import crop_patches
from gfnet_benchmark.measure.runners import TimedSession
from gfnet_benchmark.measure.statistics import median_ratio
from gfnet_benchmark.measure.timing import Clock, Stopwatch
from gfnet_export.bundle.manifest import preprocessing_of
from gfnet_export.bundle.reader import Bundle
from gfnet_export.onnx.convert import OPSET
from gfnet_export.runtime.onnx_runtime import OnnxRunner, open_bundle_sessions

_ROUNDS = 15


def crop_in_a_loop(images: Tensor, origins: Tensor, patch_size: int) -> Tensor:
    """One slice an image, its four bounds read from tensors, then one concatenation: the official code's way."""
    patches = []
    for index in range(len(images)):
        top, left = origins[index]
        rows = slice(top.item(), (top + patch_size).item())
        columns = slice(left.item(), (left + patch_size).item())
        patches.append(images[index : index + 1, :, rows, columns])
    return torch.cat(patches)


def bench_cropping(batch: int = 256, image_size: int = 224, patch_size: int = 96) -> dict[str, float]:
    """Times of the loop over ours, by pixel type and memory format, interleaved; and a bare copy's.

    ``copy_*`` is the loop's time over that of cloning the finished patches: no crop can beat it.
    """
    generator = torch.Generator().manual_seed(0)
    origins = torch.randint(0, image_size - patch_size + 1, (batch, 2), generator=generator)
    pixels = torch.randint(0, 256, (batch, 3, image_size, image_size), generator=generator, dtype=torch.uint8)
    ratios = {}
    for dtype in (torch.float32, torch.uint8):
        for name, memory_format in (("planes", torch.contiguous_format), ("channels_last", torch.channels_last)):
            images = pixels.to(dtype).contiguous(memory_format=memory_format)
            patches = crop_patches(images, origins, patch_size)
            loop, ours, copy = interleaved(
                partial(crop_in_a_loop, images, origins, patch_size),
                partial(crop_patches, images, origins, patch_size),
                patches.clone,
            )
            key = f"{str(dtype).removeprefix('torch.')}_{name}"
            ratios[key] = median_ratio(loop, ours)
            ratios[f"copy_{key}"] = median_ratio(loop, copy)
    return ratios


def bench_threshold_search(images: int = 200_000, steps: int = 5) -> dict[str, float]:
    """Seconds and peak megabytes of the search for all 39 budgets."""
    confidence = np.random.default_rng(0).random((steps, images), np.float32)
    quotas = exit_quotas(steps)
    start = time.perf_counter()
    search_thresholds(confidence, quotas)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    search_thresholds(confidence, quotas)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"seconds": seconds, "peak_mb": peak / 1e6}


def bench_adaptive(checkpoint: Checkpoint, images: Sequence[Path], batch: int = 64) -> dict[str, float]:
    """Adaptive evaluation over running all steps: ratio of the times and of the multiply-adds.

    Uses the most accurate stored thresholds, on images already in memory.
    """
    assert checkpoint.evaluation is not None
    config = checkpoint.model.config
    preprocessing = Preprocessing.of(config)
    pixels = np.stack([preprocessing(load_image(path)) for path in images])
    runner = TorchRunner(checkpoint.model)
    thresholds = default_point(checkpoint.evaluation.budgeted).thresholds

    def run(limits: Sequence[float] | None) -> list[int]:
        exits = []
        for first in range(0, len(pixels), batch):
            part = pixels[first : first + batch]
            exits += [trace.exit_step for trace in classify(runner, part, limits, [""] * len(part))]
        return exits

    adaptive, everything = interleaved(lambda: run(thresholds), lambda: run(None), rounds=7)
    macs = checkpoint.evaluation.macs
    return {
        "time_ratio": median_ratio(adaptive, everything),
        "macs_ratio": float(np.mean([macs[step - 1] for step in run(thresholds)]) / macs[-1]),
        "images": float(len(pixels)),
    }


def bench_first_photo(bundle: Path, photo: Path, rounds: int = 5) -> dict[str, float]:
    """Seconds from starting ``gfnet predict BUNDLE PHOTO`` to its end, and of an empty interpreter."""
    gfnet = Path(sys.executable).with_name("gfnet")
    predict, empty = interleaved(
        lambda: subprocess.run([gfnet, "predict", bundle, photo], check=True, capture_output=True),
        lambda: subprocess.run([sys.executable, "-c", ""], check=True, capture_output=True),
        rounds=rounds,
    )
    return {
        "median_s": float(np.median(predict)),
        "interpreter_s": float(np.median(empty)),
    }


def bench_overhead(
    bundle: Bundle, photo: Path, rounds: int = 100, *, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """What of one image's time is not spent in the sessions: resize, crops, confidence and the loop itself.

    ``all_steps`` and ``glance_only``: median share of the time of :func:`classify`, one thread, interleaved.
    """
    watch = Stopwatch(clock)
    opened = open_bundle_sessions(bundle)
    sessions: Any = {name: TimedSession(session, "session", watch) for name, session in opened.items()}
    runner = OnnxRunner(bundle.manifest, sessions)
    pixels = preprocessing_of(bundle.manifest)(load_image(photo))[None]
    shares: dict[str, list[float]] = {"all_steps": [], "glance_only": []}
    for round_index in range(-1, rounds):
        for name, limits in zip(shares, (None, [ALWAYS] * runner.steps), strict=True):
            watch.clear()
            watch.time("whole", partial(classify, runner, pixels, limits, [""]))
            if round_index >= 0:
                shares[name].append(1 - sum(watch.samples["session"]) / watch.samples["whole"][0])
    return {name: float(np.median(values)) for name, values in shares.items()}


def bench_harness(rounds: int = 2000) -> dict[str, float]:
    """Microseconds that measuring adds to a subgraph that does nothing, next to what such a call takes by itself."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "empty",
        [value("x", onnx.TensorProto.FLOAT, [1])],
        [value("y", onnx.TensorProto.FLOAT, [1])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    timed = TimedSession(session, "empty", Stopwatch())
    binding = session.io_binding()
    binding.bind_cpu_input("x", np.zeros(1, np.float32))
    binding.bind_output("y")
    plain, watched = interleaved(
        partial(session.run_with_iobinding, binding), partial(timed.run_with_iobinding, binding), rounds=rounds
    )
    return {
        "empty_call_us": 1e6 * float(np.median(plain)),
        "added_us": 1e6 * float(np.median(watched) - np.median(plain)),
    }


def interleaved(*calls: Callable[[], Any], rounds: int = _ROUNDS) -> list[list[float]]:
    """Durations in seconds of each call, taken in turn in every round after one that is not counted."""
    samples: list[list[float]] = [[] for _ in calls]
    for round_index in range(-1, rounds):
        for call, durations in zip(calls, samples, strict=True):
            start = time.perf_counter()
            call()
            if round_index >= 0:
                durations.append(time.perf_counter() - start)
    return samples
