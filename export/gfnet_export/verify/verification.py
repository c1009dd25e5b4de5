"""Does the exported network compute, and decide, what the trained one does?

Three questions.  Values: does the manifest say of the network what the checkpoint says?  Differences, over real
images: every subgraph of every runtime gets the inputs that torch's own steps give it, so that one subgraph's error is
not charged to the next.  Decisions: every runtime walks each image by itself, and exits, labels and patches are
compared with torch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from gfnet.checkpoint import Checkpoint
from gfnet.errors import BundleError, NetworkError
from gfnet.escaping import one_line
from gfnet.extras import require
from gfnet.inference.adaptive import classify
from gfnet.inference.exits import ALWAYS
from gfnet.inference.traces import Trace
from gfnet_export.bundle.manifest import Manifest
from gfnet_export.bundle.reader import Bundle
from gfnet_export.components import Component, components_of
from gfnet_export.exporting import network_values
from gfnet_export.runtime.onnx_runtime import open_bundle_sessions
from gfnet_export.runtime.runner import BundleRunner, Session
from gfnet_export.verify.decisions import Decisions, confidences, decide
from gfnet_export.verify.differences import ComparedSession, Difference, DifferenceMeter, TorchSession
from gfnet_export.verify.gates import Gates, Outcome, Share, gates_of
from gfnet_export.verify.overflow import LARGEST_FLOAT16, watch_overflow

_THRESHOLD_VALUES = ("budgets", "anytime_top1")
"""What ``--retune`` changes in a manifest, and ``gfnet evaluate --save`` in a checkpoint."""


@dataclass(frozen=True)
class Finding:
    """Something that a runtime did, or the manifest says, in words."""

    runtime: str
    what: str


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found.

    Attributes:
        other_values: what the manifest says of the network and the checkpoint says otherwise, one text each; if there
            are any, nothing was run.
        differences: per runtime, subgraph and output.
        decisions: torch's own first, then one for each runtime that came to the end of all walks.
        thresholds: that decided who stops.
        gates: what had to be reached.
        failures: gates that were not passed.
        undecided: gates that too few images were looked at for.
        confidence: of the first runtime, float32 [T, n]; ``None`` if it did not come to the end.
        predicted: its answers, int64 [T, n]; ``None`` likewise.
    """

    other_values: tuple[str, ...]
    gates: Gates
    failures: tuple[Finding, ...] = ()
    undecided: tuple[Finding, ...] = ()
    differences: tuple[Difference, ...] = ()
    decisions: tuple[Decisions, ...] = ()
    thresholds: tuple[float, ...] = ()
    confidence: np.ndarray | None = None
    predicted: np.ndarray | None = None

    @property
    def outcome(self) -> Outcome:
        """``undecided``: no difference was found, but too few images were compared to pass it."""
        if self.other_values or self.failures:
            return "failed"
        return "undecided" if self.undecided else "passed"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; NaN and infinity become ``None``."""
        return {
            "outcome": self.outcome,
            "other_values": list(self.other_values),
            "differences": [_finite(asdict(item)) for item in self.differences],
            "decisions": [_finite(asdict(item)) for item in self.decisions],
            "thresholds": [value if math.isfinite(value) else None for value in self.thresholds],
            "gates": asdict(self.gates),
            "failures": [asdict(item) for item in self.failures],
            "undecided": [asdict(item) for item in self.undecided],
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
        bundle: opened with ``manifest_digest=False`` if what was altered in its manifest is to be told.
        squares: images preprocessed as the checkpoint asks, uint8 [S,S,3].
        thresholds: T exit thresholds; by default half of the images stop at each step.
        labels: right answers, if they are known.

    Raises:
        BundleError: there are no images.
        NetworkError: the checkpoint's own network gives values that are NaN or infinite.
    """
    gates = gates_of(bundle.manifest)
    others = tuple(other_values(bundle, checkpoint))
    if others:
        return Verification(others, gates, failures=tuple(_altered(bundle)))
    runtimes = open_runtimes(bundle)
    walks = _walk(bundle, checkpoint, squares, runtimes)
    if not walks.torch:
        raise BundleError("there are no images to verify on; give --images a folder with some")
    limits = tuple(thresholds) if thresholds is not None else _halving(confidences(walks.torch))
    slack = checkpoint.model.config.image_size - checkpoint.model.config.patch_size
    decided = [
        decide(name, walks.torch, found, limits, gates, slack, labels)
        for name, found in (("torch", walks.torch), *walks.traces.items())
    ]
    first = walks.traces.get(next(iter(runtimes)))
    return Verification(
        other_values=(),
        gates=gates,
        failures=(
            *_altered(bundle),
            *walks.broken,
            *_far_off(walks.differences, gates),
            *(finding for row, shares in decided[1:] for finding in _missed(row, shares)),
            *_unseen(bundle.manifest, runtimes, walks.differences),
            *_overflows(bundle.manifest, walks),
        ),
        undecided=tuple(finding for row, shares in decided[1:] for finding in _too_few(row, shares)),
        differences=walks.differences,
        decisions=tuple(row for row, _ in decided),
        thresholds=limits,
        confidence=confidences(first) if first else None,
        predicted=np.array([[step.class_index for step in trace.steps] for trace in first]).T if first else None,
    )


@dataclass(frozen=True)
class _Walks:
    """What torch and the runtimes did on all images.

    Attributes:
        torch: torch's traces.
        traces: by runtime, of those that came to the end of every walk.
        broken: what stopped the others.
        differences: of outputs on the same inputs.
        overflows: by runtime and subgraph, the first operation whose result float16 cannot hold.
    """

    torch: list[Trace]
    traces: dict[str, list[Trace]]
    broken: list[Finding]
    differences: tuple[Difference, ...]
    overflows: dict[tuple[str, str], str]


def _walk(
    bundle: Bundle, checkpoint: Checkpoint, squares: Iterable[np.ndarray], runtimes: dict[str, dict[str, Session]]
) -> _Walks:
    ours = expected_manifest(bundle, checkpoint)
    parts = _parts(checkpoint, ours)
    meter, watches = DifferenceMeter(), watch_overflow(bundle, runtimes)
    compared = BundleRunner(
        ours,
        {
            graph.name: ComparedSession(
                name=graph.name,
                reference=TorchSession(parts[graph.role, graph.steps]),
                others={runtime: sessions[graph.name] for runtime, sessions in runtimes.items()},
                meter=meter,
                slack=ours.preprocessing.image_size - ours.patch_size,
                watches=watches,
            )
            for graph in ours.subgraphs
        },
    )
    runners = {runtime: BundleRunner(bundle.manifest, sessions) for runtime, sessions in runtimes.items()}
    torch_traces: list[Trace] = []
    traces: dict[str, list[Trace]] = {runtime: [] for runtime in runtimes}
    broken = []
    for number, square in enumerate(squares, start=1):
        names = [f"image {number}"]
        torch_traces += classify(compared, square[None], None, names)
        for runtime in list(traces):
            try:
                traces[runtime] += classify(runners[runtime], square[None], None, names)
            except NetworkError as error:
                del traces[runtime]
                broken.append(Finding(runtime, str(error).partition(":")[0]))  # the rest is advice
    overflows = {
        (watch.runtime, subgraph): operation for watch in watches for subgraph, operation in watch.found.items()
    }
    return _Walks(torch_traces, traces, broken, tuple(meter.results()), overflows)


def expected_manifest(bundle: Bundle, checkpoint: Checkpoint) -> Manifest:
    """The bundle's manifest, but with the checkpoint's own values for all that describes the network."""
    return bundle.manifest.model_copy(update=network_values(checkpoint))


def other_values(bundle: Bundle, checkpoint: Checkpoint) -> Iterator[str]:
    """What a manifest says of the network and its checkpoint says otherwise, both values in words.

    Thresholds, and accuracies after each step, may be others: found anew on the exported network, or on the checkpoint
    since.  They count where the manifest's own digest says that somebody altered it.
    """
    manifest, same = bundle.manifest, True
    for name, wanted in network_values(checkpoint).items():
        if name not in _THRESHOLD_VALUES or bundle.manifest_altered:
            for text in _others(name, getattr(manifest, name), wanted):
                same = False
                yield text
    if not same:
        return
    parts = _parts(checkpoint, manifest)
    for graph in manifest.subgraphs:
        part = parts.get((graph.role, graph.steps))
        found, expected = (
            {spec.name: spec.shape for spec in (*holder.inputs, *holder.outputs)} if holder else {}
            for holder in (graph, part)
        )
        for tensor in sorted(found.keys() | expected.keys()):
            yield from _others(f"{graph.name}.{tensor}", found.get(tensor), expected.get(tensor))


def _parts(checkpoint: Checkpoint, manifest: Manifest) -> dict[tuple[str, tuple[int, ...]], Component]:
    """Torch's part for each subgraph, by role and steps."""
    return {(part.role, part.steps): part for part in components_of(checkpoint.model.cpu(), manifest.layout)}


def _others(name: str, found: Any, wanted: Any) -> Iterator[str]:
    """Where two values differ: fields by their names, of a sequence the first entry that does."""
    if isinstance(found, BaseModel) and isinstance(wanted, BaseModel):
        for field in type(wanted).model_fields:
            yield from _others(field, getattr(found, field), getattr(wanted, field))
    elif is_dataclass(found) and type(found) is type(wanted):
        for part in fields(found):
            yield from _others(f"{name}.{part.name}", getattr(found, part.name), getattr(wanted, part.name))
    elif isinstance(found, tuple) and isinstance(wanted, tuple) and len(found) == len(wanted):
        unlike = [index for index, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1]]
        for index in unlike[:1]:
            more = f", and {len(unlike) - 1} more of {name}" if len(unlike) > 1 else ""
            for text in _others(f"{name}[{index}]", found[index], wanted[index]):
                yield text + more
    elif found != wanted:
        yield f"{name} is {_shown(found)} in the bundle, {_shown(wanted)} in the checkpoint"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} values"
    return "unknown" if value is None else one_line(value)


def open_runtimes(bundle: Bundle) -> dict[str, dict[str, Session]]:
    """Sessions for each subgraph, by runtime; the first runtime is the one that counts.

    On a Mac that is Core ML itself, with the interpreter beside it: where the two part, one sees which is to blame.

    Raises:
        GFNetError: a subgraph cannot be loaded.
    """
    if bundle.manifest.format == "onnx":
        return {"ONNX Runtime": {**open_bundle_sessions(bundle)}}
    if bundle.manifest.format == "coreai":
        require("coreai", "coreai")
        from gfnet_export.runtime.core_ai import open_core_ai_sessions

        return {"Apple's Core AI": {**open_core_ai_sessions(bundle)}}
    from gfnet_export.coreml.macos import is_macos, open_coreml_sessions
    from gfnet_export.mil.session import open_sessions

    runtimes: dict[str, dict[str, Session]] = {}
    if is_macos():
        runtimes["Core ML"] = {**open_coreml_sessions(bundle)}
    runtimes["MIL"] = {**open_sessions(bundle)}
    if bundle.manifest.precision != "fp32":
        runtimes["MIL, not rounded"] = {**open_sessions(bundle, "none")}
    return runtimes


def _halving(confidence: np.ndarray) -> tuple[float, ...]:
    """Thresholds between the two middle confidences of each step, so that no image lies on one."""
    ordered = np.sort(confidence, axis=1)
    middle = ordered.shape[1] // 2
    between = (ordered[:, max(middle - 1, 0)] + ordered[:, middle]) / 2
    return (*(float(value) for value in between[:-1]), ALWAYS)


def _altered(bundle: Bundle) -> Iterator[Finding]:
    if bundle.manifest_altered:
        yield Finding("manifest.json", "altered since it was written, by its own digest")


def _far_off(differences: Iterable[Difference], gates: Gates) -> Iterator[Finding]:
    for item in differences:
        if not item.relative <= gates.difference:
            what = f"{item.subgraph}, {item.output}: differs by {item.relative:.2g} of its largest value"
            yield Finding(item.runtime, f"{what}, more than {gates.difference:g}")


def _missed(row: Decisions, shares: dict[str, Share]) -> Iterator[Finding]:
    for name, share in shares.items():
        if share.outcome == "failed":
            yield Finding(row.runtime, f"{share.value:.2%} of {share.counted} {name}, fewer than {share.gate:.1%}")


def _too_few(row: Decisions, shares: dict[str, Share]) -> Iterator[Finding]:
    for name, share in shares.items():
        if share.outcome == "undecided":
            images = math.ceil(share.needed * row.images / share.counted)
            what = f"{share.value:.2%} of {share.counted} {name}: too few to tell it from {share.gate:.1%}"
            yield Finding(row.runtime, f"{what}; about {images:,} images would do")


def _unseen(manifest: Manifest, runtimes: Iterable[str], differences: Iterable[Difference]) -> Iterator[Finding]:
    """Outputs that were never compared: of steps that crop by themselves, and always somewhere else."""
    seen = {(item.runtime, item.subgraph, item.output) for item in differences}
    for runtime in runtimes:
        for graph in manifest.subgraphs:
            for spec in graph.outputs:
                if (runtime, graph.name, spec.name) not in seen:
                    yield Finding(runtime, f"{graph.name}, {spec.name}: never compared, no patch was the same")


def _overflows(manifest: Manifest, walks: _Walks) -> Iterator[Finding]:
    """Values that 16 bits cannot hold, which ONNX Runtime's CPU hides by computing in 32."""
    for (runtime, subgraph), operation in walks.overflows.items():
        yield Finding(runtime, f"{subgraph}, the first value that float16 cannot hold: {operation}")
    if manifest.precision == "fp16":
        for item in walks.differences:
            if item.scale > LARGEST_FLOAT16:
                what = f"{item.subgraph}, {item.output}: reaches {item.scale:.3g}, more than float16 holds"
                yield Finding(item.runtime, f"{what} ({LARGEST_FLOAT16:,.0f})")
