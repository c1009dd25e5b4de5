"""Which operation of a float16 bundle gives the first value that float16 cannot hold."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from gfnet_export.bundle.reader import Bundle
from gfnet_export.runtime.runner import Session

LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
_MOST_RUNS = 16

FirstOverflow = Callable[[Mapping[str, np.ndarray]], str | None]
"""The first operation whose result float16 cannot hold, on some inputs by name."""


@dataclass
class OverflowWatch:
    """Looks at what one runtime computes inside its subgraphs.

    Attributes:
        runtime: whose subgraphs they are.
        finders: by subgraph.
        found: the first operation out of range, by subgraph, once there was one.
    """

    runtime: str
    finders: Mapping[str, FirstOverflow]
    found: dict[str, str] = field(default_factory=dict)
    _runs: Counter[str] = field(default_factory=Counter)

    def __call__(self, subgraph: str, inputs: Mapping[str, np.ndarray], results: Sequence[np.ndarray]) -> None:
        """Look at one run of a subgraph: at the first 16, and at those that end in NaN or infinity."""
        self._runs[subgraph] += 1
        ends_well = all(np.isfinite(result).all() for result in results)
        if subgraph in self.found or (ends_well and self._runs[subgraph] > _MOST_RUNS):
            return
        operation = self.finders[subgraph](inputs)
        if operation is not None:
            self.found[subgraph] = operation


def watch_overflow(bundle: Bundle, runtimes: Mapping[str, Mapping[str, Session]]) -> list[OverflowWatch]:
    """A watch over a float16 bundle; none over others, nor in Apple's runtime, which shows outputs only.

    Args:
        runtimes: sessions for each subgraph, by runtime; of a Core ML bundle the interpreter's are asked.
    """
    if bundle.manifest.precision != "fp16" or bundle.manifest.format == "coreai":
        return []
    if bundle.manifest.format == "onnx":
        finders: dict[str, FirstOverflow] = {
            graph.name: _FirstOnnxOverflow(bundle.path_of(graph)) for graph in bundle.manifest.subgraphs
        }
        return [OverflowWatch("ONNX Runtime", finders)]
    return [OverflowWatch("MIL", {name: partial(_overflow_of, session) for name, session in runtimes["MIL"].items()})]


def _overflow_of(session: Session, _inputs: Mapping[str, np.ndarray]) -> str | None:
    """What an interpreter's session saw when it ran."""
    from gfnet_export.mil.session import MilSession

    assert isinstance(session, MilSession)
    return None if session.overflow is None else str(session.overflow)


class _FirstOnnxOverflow:
    """Runs a graph with every float16 value among its outputs, so that each is really rounded.

    ONNX Runtime's CPU computes in float32 and leaves out roundings between operations.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session: Session | None = None
        self._makers: dict[str, str] = {}

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> str | None:
        if self._session is None:
            self._session = self._open()
        names = list(self._makers)
        for name, value in zip(names, self._session.run(names, dict(inputs)), strict=True):
            if value.dtype == np.float16 and not np.isfinite(value).all():
                return f"{self._makers[name]} gives values beyond {LARGEST_FLOAT16:.0f}, where float16 ends"
        return None

    def _open(self) -> Session:
        import onnx

        from gfnet_export.runtime.onnx_runtime import open_session

        model = onnx.load(self.path)
        known = {output.name for output in model.graph.output}
        for node in model.graph.node:
            for output in node.output:
                self._makers[output] = f"{node.op_type} {node.name!r}"
                if output not in known:
                    model.graph.output.append(onnx.ValueInfoProto(name=output))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.path.name
            onnx.save(model, path)
            session: Session = open_session(path, optimisation="off")
            return session
