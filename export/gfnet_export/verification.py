"""Does the exported network compute, and decide, what the trained one does?

Two questions, over real images.  Differences: every subgraph of every runtime gets the inputs that torch's own steps
give it, so that one subgraph's error is not charged to the next.  Decisions: every runtime walks each image by itself,
and exits, labels and patches are compared with torch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gfnet.adaptive import classify
from gfnet.checkpoint import Checkpoint
from gfnet.errors import BundleError
from gfnet.exits import ALWAYS, exit_steps
from gfnet.traces import Trace
from gfnet_export.bundle import Bundle
from gfnet_export.components import components_of
from gfnet_export.differences import ComparedSession, Difference, DifferenceMeter, TorchSession
from gfnet_export.manifest import Manifest
from gfnet_export.runner import BundleRunner, Session
from gfnet_export.runtime import open_bundle_sessions


@dataclass(frozen=True)
class Gates:
    """What a runtime must reach; shares are of images, or of patches.

    Attributes:
        difference: largest difference of any output, over the largest value of that output.
        same_label: share of images with the same answer.
        same_exit: share that stop at the same step.
        same_patch: share of patches at the same pixel.
        borderline: how close torch's confidence must lie to a threshold for rounding to decide who stops.
    """

    difference: float
    same_label: float
    same_exit: float
    same_patch: float
    borderline: float


# float32: other kernels add in another order, and an action that lies on a pixel's edge may fall to its other side.
# float16: eleven bits in each of some hundred operations, and actions that are off by 5e-5 of the image.
GATES: Mapping[str, Gates] = {
    "fp32": Gates(difference=1e-4, same_label=1.0, same_exit=0.999, same_patch=0.99, borderline=1e-5),
    "fp16": Gates(difference=0.05, same_label=0.995, same_exit=0.99, same_patch=0.95, borderline=2e-3),
    "int8-heads": Gates(difference=0.05, same_label=0.98, same_exit=0.98, same_patch=0.99, borderline=2e-3),
    # Squeeze-and-excite is rounded too, and with it the map that the policy reads: 93 % of patches stay on photos.
    "int8-vectors": Gates(difference=0.05, same_label=0.98, same_exit=0.98, same_patch=0.8, borderline=2e-3),
    # Coarser numbers make another network, which looks a few pixels elsewhere and whose worth is its accuracy; these
    # gates, and those below, tell it from a broken one.
    # A unit of the policy's memory, between -1 and 1, that changes sides is off by more than the largest value: by 1.1
    # on one of 296 photos.
    "int8": Gates(difference=1.5, same_label=0.85, same_exit=0.85, same_patch=0.0, borderline=5e-3),
}
"""By precision."""
COMPRESSED_GATES: Mapping[str, Gates] = {
    "int8": Gates(difference=0.3, same_label=0.95, same_exit=0.95, same_patch=0.5, borderline=5e-3),
    "palette6": Gates(difference=0.5, same_label=0.85, same_exit=0.85, same_patch=0.1, borderline=5e-3),
    # A photo beyond the ranges seen in calibration is cut off: by up to half of the largest value, after 64 images.
    "w8a8": Gates(difference=0.75, same_label=0.85, same_exit=0.9, same_patch=0.1, borderline=5e-3),
    "palette4": Gates(difference=1.0, same_label=0.7, same_exit=0.7, same_patch=0.0, borderline=5e-3),
}
"""By compression of a Core ML package, where there is one."""


_LARGEST_FLOAT16 = 65504


@dataclass(frozen=True)
class Decisions:
    """What a runtime decided, walking each image by itself.

    Attributes:
        images: number of them.
        borderline: how many of them stop elsewhere because torch's confidence all but equals a threshold; a threshold
            is one image's confidence, so on the images that it was found on there is one for each threshold.
        same_exit: share that stop at the same step, or are borderline.
        same_label: share that get the same answer where they stop, or are borderline.
        same_patch: share of all patches, run to the last step, at the same pixel.
        largest_shift: of a patch, pixels along one axis.
        largest_margin: of the images that stop elsewhere, how far torch's confidence is from the threshold at the
            step where they part, at most.
        top1: accuracy in percent under the thresholds; ``None`` where labels are unknown.
    """

    runtime: str
    images: int
    borderline: int
    same_exit: float
    same_label: float
    same_patch: float
    largest_shift: int
    largest_margin: float
    top1: float | None


@dataclass(frozen=True)
class Failure:
    """A gate that a runtime did not pass, in words."""

    runtime: str
    what: str


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found.

    Attributes:
        differences: per runtime, subgraph and output.
        decisions: torch's own first, then one a runtime.
        thresholds: that decided who stops.
        gates: what had to be reached.
        failures: gates that were not passed.
        confidence: of the first runtime, float32 [T, n].
        predicted: its answers, int64 [T, n].
    """

    differences: tuple[Difference, ...]
    decisions: tuple[Decisions, ...]
    thresholds: tuple[float, ...]
    gates: Gates
    failures: tuple[Failure, ...]
    confidence: np.ndarray
    predicted: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; what is infinite or no number becomes ``None``."""
        return {
            "differences": [_finite(asdict(item)) for item in self.differences],
            "decisions": [_finite(asdict(item)) for item in self.decisions],
            "thresholds": [value if math.isfinite(value) else None for value in self.thresholds],
            "gates": asdict(self.gates),
            "failures": [asdict(item) for item in self.failures],
        }


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in record.items()
    }


def verify(
    bundle: Bundle,
    checkpoint: Checkpoint,
    squares: Iterable[np.ndarray],
    *,
    thresholds: Sequence[float] | None = None,
    labels: Sequence[int] | None = None,
) -> Verification:
    """Compare a bundle with the checkpoint that it was made of, on every runtime that this machine has for it.

    Args:
        squares: preprocessed images, uint8 [S,S,3].
        thresholds: T exit thresholds; by default half of the images stop at each step.
        labels: right answers, if they are known.

    Raises:
        BundleError: the two are different networks, or there are no images.
    """
    check_same_network(bundle.manifest, checkpoint)
    runtimes = open_runtimes(bundle)
    parts = components_of(checkpoint.model.cpu(), bundle.manifest.layout)
    reference = {part.name: TorchSession(part) for part in parts}
    meter = DifferenceMeter()
    torch_traces: list[Trace] = []
    traces: dict[str, list[Trace]] = {name: [] for name in runtimes}
    slack = bundle.manifest.preprocessing.image_size - bundle.manifest.patch_size
    compared = BundleRunner(
        bundle.manifest,
        {
            name: ComparedSession(
                name, session, {runtime: found[name] for runtime, found in runtimes.items()}, meter, slack
            )
            for name, session in reference.items()
        },
    )
    runners = {runtime: BundleRunner(bundle.manifest, sessions) for runtime, sessions in runtimes.items()}
    for square in squares:
        torch_traces += classify(compared, square[None], None, [""])
        for runtime, runner in runners.items():
            traces[runtime] += classify(runner, square[None], None, [""])
    if not torch_traces:
        raise BundleError("there are no images to verify on; give --images a folder with some")
    limits = tuple(thresholds) if thresholds is not None else _halving(_confidence(torch_traces))
    gates = gates_of(bundle.manifest)
    decisions = [
        _decide(name, torch_traces, found, limits, labels, gates.borderline)
        for name, found in (("torch", torch_traces), *traces.items())
    ]
    differences = tuple(meter.results())
    first = next(iter(traces.values()))
    return Verification(
        differences=differences,
        decisions=tuple(decisions),
        thresholds=limits,
        gates=gates,
        failures=(
            *_failures(differences, decisions[1:], gates),
            *_unseen(bundle.manifest, runtimes, differences),
            *_overflows(bundle.manifest, differences),
        ),
        confidence=_confidence(first),
        predicted=np.array([[step.class_index for step in trace.steps] for trace in first]).T,
    )


def gates_of(manifest: Manifest) -> Gates:
    """What a bundle must reach."""
    if manifest.compression == "none":
        return GATES[manifest.precision]
    return COMPRESSED_GATES[manifest.compression]


def check_same_network(manifest: Manifest, checkpoint: Checkpoint) -> None:
    """Refuse to compare different networks.

    Raises:
        BundleError: names the first difference.
    """
    config = checkpoint.model.config
    for name, ours, theirs in (
        ("architecture", manifest.architecture, config.arch),
        ("patch size", manifest.patch_size, config.patch_size),
        ("number of steps", manifest.steps, config.steps),
        ("number of classes", manifest.num_classes, config.num_classes),
        ("image size", manifest.preprocessing.image_size, config.image_size),
        ("class labels", manifest.labels, checkpoint.labels),
    ):
        if ours != theirs:
            shown = "" if name == "class labels" else f" ({ours} and {theirs})"
            raise BundleError(f"bundle and checkpoint differ in their {name}{shown}; give the checkpoint it is made of")


def open_runtimes(bundle: Bundle) -> dict[str, dict[str, Session]]:
    """Sessions for each subgraph, by runtime; the first runtime is the one that counts.

    On a Mac that is Core ML itself, with the interpreter beside it: where the two part, one sees which is to blame.

    Raises:
        GFNetError: a subgraph cannot be loaded.
    """
    if bundle.manifest.format == "onnx":
        return {"ONNX Runtime": {**open_bundle_sessions(bundle)}}
    from gfnet_export.macos import is_macos, open_coreml_sessions
    from gfnet_export.mil.session import open_sessions

    runtimes: dict[str, dict[str, Session]] = {}
    if is_macos():
        runtimes["Core ML"] = {**open_coreml_sessions(bundle)}
    runtimes["MIL"] = {**open_sessions(bundle)}
    if bundle.manifest.precision != "fp32":
        runtimes["MIL, not rounded"] = {**open_sessions(bundle, "none")}
    return runtimes


def _confidence(traces: Sequence[Trace]) -> np.ndarray:
    """Confidences float32 [T, n] of traces that ran to the end."""
    return np.array([[step.confidence for step in trace.steps] for trace in traces], np.float32).T


def _halving(confidence: np.ndarray) -> tuple[float, ...]:
    """Thresholds between the two middle confidences of each step, so that no image lies on one."""
    ordered = np.sort(confidence, axis=1)
    middle = ordered.shape[1] // 2
    between = (ordered[:, max(middle - 1, 0)] + ordered[:, middle]) / 2
    return (*(float(value) for value in between[:-1]), ALWAYS)


def _decide(
    runtime: str,
    expected: Sequence[Trace],
    found: Sequence[Trace],
    thresholds: Sequence[float],
    labels: Sequence[int] | None,
    borderline: float,
) -> Decisions:
    wanted, got = (_confidence(traces) for traces in (expected, found))
    exits, others = exit_steps(wanted, thresholds), exit_steps(got, thresholds)
    answers, theirs = (
        np.array([trace.steps[step].class_index for trace, step in zip(traces, where, strict=True)])
        for traces, where in ((expected, exits), (found, others))
    )
    margins = np.zeros(len(expected))  # of images that stop elsewhere, at the step where they part
    for image in np.flatnonzero(exits != others):
        step = min(exits[image], others[image])
        margins[image] = abs(float(wanted[step, image]) - thresholds[step])
    excused = (exits != others) & (margins <= borderline)
    shifts = np.array(
        [
            np.abs(np.subtract(ours.origin, other.origin)).max()
            for trace, twin in zip(expected, found, strict=True)
            for ours, other in zip(trace.steps[1:], twin.steps[1:], strict=True)
            if ours.origin is not None and other.origin is not None
        ],
        int,
    )
    return Decisions(
        runtime=runtime,
        images=len(expected),
        borderline=int(excused.sum()),
        same_exit=float(((exits == others) | excused).mean()),
        same_label=float(((answers == theirs) | excused).mean()),
        same_patch=float((shifts == 0).mean()) if shifts.size else 1.0,
        largest_shift=int(shifts.max()) if shifts.size else 0,
        largest_margin=float(margins.max()),
        top1=None if labels is None else float((theirs == np.asarray(labels)).mean() * 100),
    )


def _failures(differences: Iterable[Difference], decisions: Iterable[Decisions], gates: Gates) -> Iterable[Failure]:
    for item in differences:
        if not item.relative <= gates.difference:
            what = f"{item.subgraph}, {item.output}: differs by {item.relative:.2g} of its largest value"
            yield Failure(item.runtime, f"{what}, more than {gates.difference:g}")
    for decided in decisions:
        for name, value, least in (
            ("give the same label", decided.same_label, gates.same_label),
            ("stop at the same step", decided.same_exit, gates.same_exit),
            ("look at the same pixels", decided.same_patch, gates.same_patch),
        ):
            if value < least:
                yield Failure(decided.runtime, f"{value:.2%} {name}, fewer than {least:.1%}")


def _unseen(manifest: Manifest, runtimes: Iterable[str], differences: Iterable[Difference]) -> Iterable[Failure]:
    """Outputs that were never compared: of steps that crop by themselves, and always somewhere else."""
    seen = {(item.runtime, item.subgraph, item.output) for item in differences}
    for runtime in runtimes:
        for graph in manifest.subgraphs:
            for spec in graph.outputs:
                if (runtime, graph.name, spec.name) not in seen:
                    yield Failure(runtime, f"{graph.name}, {spec.name}: never compared, no patch was the same")


def _overflows(manifest: Manifest, differences: Iterable[Difference]) -> Iterable[Failure]:
    """Values that 16 bits cannot hold, which ONNX Runtime's CPU hides by computing in 32."""
    if manifest.precision == "fp16":
        for item in differences:
            if item.scale > _LARGEST_FLOAT16:
                what = f"{item.subgraph}, {item.output}: reaches {item.scale:.3g}, more than float16 holds"
                yield Failure(item.runtime, f"{what} ({_LARGEST_FLOAT16:,})")
