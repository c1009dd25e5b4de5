"""Results of measured runs, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from gfnet.results.schema import (
    Answer,
    Cold,
    Conditions,
    CurvePoint,
    Loop,
    Machine,
    Match,
    Ratio,
    Result,
    Runtime,
    Stop,
    SubgraphTiming,
    Subject,
    Timing,
)

CPU = Runtime(name="ONNX Runtime", version="1.32.0", compute_units="CPU", threads=1, settings={"optimisation": "all"})


def timing(ms: float, count: int = 40) -> Timing:
    return Timing(count=count, mean_ms=ms, median_ms=ms, p90_ms=1.1 * ms, p99_ms=1.2 * ms)


def exactly(value: float) -> Ratio:
    return Ratio(value=value, low=0.99 * value, high=1.01 * value)


def loop(ms: float, exits: Sequence[float], **more) -> Loop:
    values = {
        "thresholds": None if exits[-1] == 1 else tuple(0.9 for _ in exits),
        "exit_distribution": tuple(exits),
        "latency": timing(ms),
        "typical_ms": ms,
        "modelled_ms": ms,
        "round_ms": (ms,) * 4,
    }
    return Loop(**{**values, **more})


def network(
    name: str = "fp32",
    lengths: Sequence[float] = (2.0, 4.5, 7.0),
    baseline_ms: float | None = 5.0,
    exits: Sequence[float] = (0.5, 0.3, 0.2),
    **more,
) -> Subject:
    """Steps of some lengths, exits and all else derived from them, beside a classifier of ``baseline_ms``."""
    mean = sum(share * length for share, length in zip(exits, lengths, strict=True))

    def to_baseline(ms: float) -> Ratio | None:
        return None if baseline_ms is None else exactly(ms / baseline_ms)

    values = {
        "name": name,
        "kind": "network",
        "network": "mobilenetv3_large_100_p96_T3",
        "image_size": 224,
        "precision": "fp32",
        "bytes": 80_000_000,
        "sha256": "0" * 64,
        "reference": None if baseline_ms is None else "full",
        "stored_top1": (60.0, 70.0, 74.0),
        "runtime": CPU,
        "subgraphs": tuple(
            SubgraphTiming(
                name=graph,
                role=role,
                steps=steps,
                load_ms=30.0,
                first_run_ms=4.0,
                memory_bytes=20_000_000,
                steady=timing(ms),
                ratio=to_baseline(ms),
            )
            for graph, role, steps, ms in (
                ("glance", "glance", (1,), 0.9 * lengths[0]),
                ("policy", "policy", (2, 3), 0.2),
                ("focus", "focus", (2, 3), 2.0),
            )
        ),
        "stops": tuple(
            Stop(step=step, typical_ms=ms, latency=timing(ms), ratio=to_baseline(ms))
            for step, ms in enumerate(lengths, start=1)
        ),
        "loop": loop(
            mean,
            exits,
            ratio=to_baseline(mean),
            top1=72.5,
            answers=tuple(Answer(image=f"a/{i}.jpg", exit_step=1 + i % 3, class_index=i) for i in range(6)),
        ),
        "curve": tuple(
            CurvePoint(
                budget=4e7 + 1e7 * i,
                thresholds=(0.5 + 0.1 * i, 0.4 + 0.1 * i, -1e8),
                top1=65.0 + 2 * i,
                exit_distribution=(0.8 - 0.2 * i, 0.1 + 0.1 * i, 0.1 + 0.1 * i),
                modelled_ms=(0.8 - 0.2 * i) * lengths[0] + (0.1 + 0.1 * i) * (lengths[1] + lengths[2]),
                measured_ms=3.0 + i,
                measured_exits=(0.5, 0.25, 0.25),
            )
            for i in range(4)
        ),
        "matches": ()
        if baseline_ms is None
        else (Match(classifier="full", top1=73.5, typical_ms=4.0, ratio=4.0 / baseline_ms, low=0.6, high=None),),
        "cold": Cold(
            repeats=3, process_ms=25.0, import_ms=250.0, load_ms=90.0, first_image_ms=9.5, peak_bytes=200_000_000
        ),
    }
    return Subject(**{**values, **more})


def classifier(name: str = "full", ms: float = 5.0, **more) -> Subject:
    values = {
        "name": name,
        "kind": "classifier",
        "network": "mobilenetv3_large_100@224",
        "image_size": 224,
        "precision": "fp32",
        "runtime": CPU,
        "subgraphs": (SubgraphTiming(name="baseline", role="classifier", steps=(1,), steady=timing(0.97 * ms)),),
        "stops": (Stop(step=1, typical_ms=ms, latency=timing(ms)),),
        "loop": loop(ms, (1.0,)),
    }
    return Subject(**{**values, **more})


def result(*subjects: Subject, **more) -> Result:
    """A run of these subjects; of one network and its baseline without any."""
    values = {
        "tool": "gfnet 0.1.0",
        "created": "2026-01-31T12:00:00Z",
        "machine": Machine(device="Phone 12", os="Linux 6", processor="A core", cores=4, memory_bytes=2**33),
        "conditions": Conditions(
            seconds=12.0, load_before=0.1, load_after=1.0, others_cores=0.0, affinity=(0, 1, 2, 3)
        ),
        "images": 10,
        "rounds": 4,
        "warmup_rounds": 3,
        "harness_us": 1.5,
        "subjects": subjects or (network(), classifier()),
    }
    return Result(**{**values, **more})
