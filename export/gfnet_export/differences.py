"""How far a runtime's subgraphs are from torch's, on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from gfnet_export.components import Component
from gfnet_export.runtime import Session


@dataclass(frozen=True)
class Difference:
    """One output of one subgraph, over all images, torch against a runtime on the same inputs.

    Attributes:
        largest: absolute.
        mean: absolute.
        relative: ``largest`` over the largest absolute value that torch gave.
        psnr: signal-to-noise ratio in decibels, the largest value as signal; infinite where all is equal.
    """

    runtime: str
    subgraph: str
    output: str
    largest: float
    mean: float
    relative: float
    psnr: float


class TorchSession:
    """A component that runs like one of ONNX Runtime's sessions."""

    def __init__(self, component: Component) -> None:
        self.component = component

    @torch.no_grad()
    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Compute the named outputs."""
        given = [torch.from_numpy(np.asarray(inputs[name])) for name in self.component.inputs]
        results = self.component.module(*given)
        results = results if isinstance(results, tuple) else (results,)
        named = dict(zip(self.component.outputs, results, strict=True))
        return [named[name].numpy() for name in outputs]


@dataclass(frozen=True)
class ComparedSession:
    """A session that gives the reference's results, and shows a meter what the others make of the same inputs.

    Attributes:
        name: of the subgraph.
        reference: what the others are compared with.
        others: by runtime.
        meter: is shown every result.
    """

    name: str
    reference: Session
    others: Mapping[str, Session]
    meter: DifferenceMeter

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The reference's named outputs."""
        expected = self.reference.run(outputs, inputs)
        for runtime, session in self.others.items():
            for output, ours, theirs in zip(outputs, expected, session.run(outputs, inputs), strict=True):
                self.meter.add((runtime, self.name, output), ours, theirs)
        return expected


@dataclass
class _Sums:
    largest: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    count: int = 0
    signal: float = 0.0


@dataclass
class DifferenceMeter:
    """Adds up differences.

    Attributes:
        sums: by runtime, subgraph and output.
    """

    sums: dict[tuple[str, str, str], _Sums] = field(default_factory=dict)

    def add(self, key: tuple[str, str, str], expected: np.ndarray, found: np.ndarray) -> None:
        """Take one pair of results of a (runtime, subgraph, output)."""
        gap = np.abs(expected.astype(np.float64) - found)
        sums = self.sums.setdefault(key, _Sums())
        # Of a NaN nothing is larger: say infinity, which fails every gate.
        sums.largest = max(sums.largest, float(np.nan_to_num(gap, nan=np.inf).max()))
        sums.total, sums.squares, sums.count = (
            sums.total + gap.sum(),
            sums.squares + (gap**2).sum(),
            sums.count + gap.size,
        )
        sums.signal = max(sums.signal, float(np.abs(expected).max()))

    def results(self) -> Iterable[Difference]:
        """One for each runtime, subgraph and output."""
        for (runtime, subgraph, output), sums in self.sums.items():
            noise = math.sqrt(sums.squares / sums.count)
            yield Difference(
                runtime,
                subgraph,
                output,
                largest=sums.largest,
                mean=sums.total / sums.count,
                relative=sums.largest / max(sums.signal, 1e-12),
                psnr=20 * math.log10(max(sums.signal, 1e-12) / noise) if noise > 0 else math.inf,
            )
