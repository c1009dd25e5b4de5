"""``gfnet bench train``: how fast one iteration of a stage is, and where its time goes.

Images are tensors in memory, so decoding is left out; it is timed by itself.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function

from gfnet.choices import Amp
from gfnet.config import ModelConfig
from gfnet.data import open_splits
from gfnet.data.batches import Batch, PixelDataset, TrainingBatches
from gfnet.escaping import Lines, as_lines
from gfnet.network.model import GFNet, default_device
from gfnet.network.patches import patch_origins
from gfnet.training.learner import Learner
from gfnet.training.recipe import recipe_for
from gfnet_benchmark.internals.core import crop_in_a_loop, interleaved

PARTS = ("encoders", "classifier", "cropping", "shrinking", "policy and PPO", "optimiser", "rest")
"""What an iteration's time is divided into."""

_LABEL = "part: "
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class TrainTiming:
    """One stage's iterations on one machine.

    Attributes:
        images_per_second: median over the rounds.
        over_plain: the plain way's time over ours, median over interleaved rounds: contiguous tensors, patches
            cropped image by image, an optimiser that is not fused, and frozen encoders as they are.
        memory_mb: most memory of the whole process during the first iteration (of the GPU if there is one), MB.
        shares: fraction of an iteration's time in each of :data:`PARTS`, forward and backward together.
    """

    network: str
    stage: int
    batch_size: int
    threads: int
    amp: Amp
    compiled: bool
    device: str
    images_per_second: float
    over_plain: float
    memory_mb: float
    shares: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def bench_stage(
    config: ModelConfig,
    stage: int,
    *,
    batch_size: int,
    rounds: int = 5,
    amp: Amp = "off",
    compiled: bool = False,
    device: torch.device | None = None,
) -> TrainTiming:
    """Time the iterations of one stage on random images.

    Args:
        stage: 1 to 3.
        rounds: interleaved rounds of one iteration of each way, after two that are not counted.
    """
    device = device or default_device()
    batch = _random_batch(config, batch_size)
    _reset_peak(device)
    learner = _learner(config, stage, device, amp)
    learner.model.to(memory_format=torch.channels_last)
    if compiled:
        learner.model.global_encoder.compile()
        learner.model.local_encoder.compile()
    ours = _iteration(learner, batch)
    ours()
    memory = _peak_mb(device)
    plain_learner = _learner(config, stage, device, amp)
    for group in plain_learner.optimizer.param_groups:
        group["fused"] = False
    plain_batch = Batch(batch.pixels.contiguous(), batch.labels, batch.places, batch.total)

    def crop_plainly(images: Tensor, action: Tensor) -> Tensor:
        return crop_in_a_loop(images, patch_origins(action, config.image_size, config.patch_size), config.patch_size)

    plain_learner.acting = plain_learner.model
    plain_learner.model.crop = crop_plainly  # type: ignore[method-assign]
    ours_s, plain_s = interleaved(ours, _iteration(plain_learner, plain_batch), rounds=rounds)
    return TrainTiming(
        network=config.name,
        stage=stage,
        batch_size=batch_size,
        threads=torch.get_num_threads(),
        amp=amp,
        compiled=compiled,
        device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        images_per_second=batch_size / float(np.median(ours_s)),
        over_plain=float(np.median(np.asarray(plain_s) / np.asarray(ours_s))),
        memory_mb=memory,
        shares=profile_shares(learner, batch),
    )


def bench_loading(data: Path, config: ModelConfig, *, batch_size: int, workers: int, images: int = 512) -> float:
    """Images a second that training batches are decoded and augmented at, in this process or in ``workers``."""
    train, _ = open_splits(data)
    dataset = PixelDataset(train, config, augmentation="crop")
    batches = TrainingBatches(dataset, batch_size, workers=workers).epoch(0)
    next(batches)  # workers have started
    start, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch.labels)
        if count >= images:
            break
    return count / (time.perf_counter() - start)


def profile_shares(learner: Learner, batch: Batch) -> dict[str, float]:
    """Fraction of one iteration's time in each part, by the profiler.

    A backward operation counts for the part whose forward operation it belongs to; the two share a number.
    """
    activities = [ProfilerActivity.CPU]
    with _labelled(learner), profile(activities=activities) as profiler:
        start = time.perf_counter()
        learner.step([batch], seed=0)
        total_us = 1e6 * (time.perf_counter() - start)
    events = profiler.events()
    part_of_forward = {
        event.sequence_nr: part
        for event in events
        if event.sequence_nr >= 0 and not _is_backward(event) and (part := _part_of(event)) is not None
    }
    spent = dict.fromkeys(PARTS, 0.0)
    for event in events:
        if _is_outermost_label(event):
            spent[event.name.removeprefix(_LABEL)] += event.cpu_time_total
        elif event.name.startswith("Optimizer.step#"):
            spent["optimiser"] += event.cpu_time_total
        elif _is_backward(event) and event.cpu_parent is None:
            spent[part_of_forward.get(event.sequence_nr, "rest")] += event.cpu_time_total
    measured = sum(spent.values())
    # The profiler's own work makes everything take longer; what no part accounts for is the rest.
    spent["rest"] += max(total_us - measured, 0.0)
    return {part: value / max(total_us, measured) for part, value in spent.items()}


def timing_table(timing: TrainTiming) -> Lines:
    """A timing as lines of text."""
    lines = [
        f"{timing.network}, stage {timing.stage}, batch {timing.batch_size}, {timing.device}, "
        f"{timing.threads} threads, amp {timing.amp}{', compiled' if timing.compiled else ''}",
        f"  {timing.images_per_second:8.1f} images/s   {timing.over_plain:.2f} times the plain way   "
        f"{timing.memory_mb:.0f} MB",
    ]
    shares = sorted(timing.shares.items(), key=lambda item: -item[1])
    lines.append("  " + ", ".join(f"{part} {100 * share:.1f} %" for part, share in shares))
    return as_lines(lines)


def _learner(config: ModelConfig, stage: int, device: torch.device, amp: Amp) -> Learner:
    torch.manual_seed(0)
    return Learner(GFNet(config).to(device), stage, recipe_for(config), amp=amp)


def _random_batch(config: ModelConfig, count: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    side = config.image_size
    pixels = torch.randint(0, 256, (count, side, side, 3), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, config.num_classes, (count,), generator=generator)
    return Batch(pixels.permute(0, 3, 1, 2), labels, torch.arange(count), count)


def _iteration(learner: Learner, batch: Batch) -> Callable[[], Any]:
    return lambda: learner.step([batch], seed=0)  # waits for the device, since it returns numbers


@contextmanager
def _labelled(learner: Learner) -> Iterator[None]:
    """Inside, the profiler sees which part of the network every operation belongs to."""
    model = learner.acting
    targets: Sequence[tuple[Any, str, str]] = (
        (model.global_encoder, "forward", "encoders"),
        (model.local_encoder, "forward", "encoders"),
        (model.global_encoder, "classify", "encoders"),
        (model.local_encoder, "classify", "encoders"),
        (model.classifier, "forward", "classifier"),
        (model.policy, "forward", "policy and PPO"),
        (model, "crop", "cropping"),
        (model, "shrink", "shrinking"),
        (learner.model, "normalise", "shrinking"),
        *([(learner.objective, "forward", "policy and PPO")] if learner.stage == 2 else []),
    )
    for target, name, part in targets:
        setattr(target, name, _wrapped(getattr(target, name), part))
    try:
        yield
    finally:
        for target, name, _ in targets:
            delattr(target, name)  # the class's own again


def _wrapped(call: Callable[..., Any], part: str) -> Callable[..., Any]:
    def labelled(*args: Any, **options: Any) -> Any:
        with record_function(_LABEL + part):
            return call(*args, **options)

    return labelled


def _is_backward(event: Any) -> bool:
    return str(event.name).startswith("autograd::engine::evaluate_function")


def _part_of(event: Any) -> str | None:
    """The outermost label around an event."""
    part = None
    while event is not None:
        if event.name.startswith(_LABEL):
            part = event.name.removeprefix(_LABEL)
        event = event.cpu_parent
    return part


def _is_outermost_label(event: Any) -> bool:
    return event.name.startswith(_LABEL) and (event.cpu_parent is None or _part_of(event.cpu_parent) is None)


def _reset_peak(device: torch.device) -> None:
    """Begin to look for the most memory anew, where the system lets us."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text("5")  # Linux: forget the peak of the resident set


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if _CLEAR_REFS.exists():
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(status["VmHWM"].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
