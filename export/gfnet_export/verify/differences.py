"""How far a runtime's subgraphs are from torch's, on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from gfnet.inference.geometry import patch_origins
from gfnet_export.bundle import tensor_names as names
from gfnet_export.components import Component
from gfnet_export.runtime.runner import Session
from gfnet_export.verify.overflow import OverflowWatch


@dataclass(frozen=True)
class Difference:
    """One output of one subgraph, over all images, torch against a runtime on the same inputs.

    Attributes:
        largest: absolute.
        mean: absolute.
        relative: ``largest`` over the largest absolute value that torch gave.
        scale: largest absolute value that torch gave.
        psnr: signal-to-noise ratio in decibels, the largest value as signal; infinite where all is equal, and 0 where
            something is infinite or no number.
    """

    runtime: str
    subgraph: str
    output: str
    largest: float
    mean: float
    relative: float
    scale: float
    psnr: float


class TorchSession:
    """A component that runs like one of ONNX Runtime's sessions."""

    def __init__(self, component: Component) -> None:
        self.component = component

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Compute the named outputs."""
        given = [torch.from_numpy(np.require(inputs[spec.name], requirements="W")) for spec in self.component.inputs]
        named = self.component.run(*given)
        return [named[name].numpy() for name in outputs]


@dataclass(frozen=True)
class ComparedSession:
    """A session that gives the reference's results, and shows a meter what the others make of the same inputs.

    Attributes:
        name: of the subgraph.
        reference: what the others are compared with.
        others: by runtime.
        meter: is shown every result.
        slack: how far a patch's origin can go, pixels: image size less patch size.
        watches: are shown what their runtimes were given and made of it.
    """

    name: str
    reference: Session
    others: Mapping[str, Session]
    meter: DifferenceMeter
    slack: int
    watches: Sequence[OverflowWatch] = ()

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The reference's named outputs."""
        expected = self.reference.run(outputs, inputs)
        for runtime, session in self.others.items():
            found = session.run(outputs, inputs)
            for watch in self.watches:
                if watch.runtime == runtime:
                    watch(self.name, inputs, found)
            # A graph that crops by itself may have looked elsewhere; then only where it looked can be compared.
            same = self._same_patch(outputs, expected, found)
            for output, ours, theirs in zip(outputs, expected, found, strict=True):
                if same or output in (names.ACTION, names.NEW_HIDDEN):
                    self.meter.add((runtime, self.name, output), ours, theirs)
        return expected

    def _same_patch(self, outputs: list[str], expected: list[np.ndarray], found: list[np.ndarray]) -> bool:
        if names.ACTION not in outputs:
            return True
        ours, theirs = (results[outputs.index(names.ACTION)] for results in (expected, found))
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            return False
        size = self.slack + 1
        return bool((patch_origins(ours, size, 1) == patch_origins(theirs, size, 1)).all())


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
        sums.largest = max(sums.largest, float(np.where(np.isnan(gap), np.inf, gap).max()))
        sums.total, sums.squares, sums.count = (
            sums.total + gap.sum(),
            sums.squares + (gap**2).sum(),
            sums.count + gap.size,
        )
        sums.signal = max(sums.signal, float(np.where(np.isnan(expected), np.inf, np.abs(expected)).max()))

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
                relative=sums.largest / max(sums.signal, 1e-12) if math.isfinite(sums.signal) else math.inf,
                scale=sums.signal,
                psnr=_decibels(max(sums.signal, 1e-12), noise),
            )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 20 * math.log10(signal / noise) if math.isfinite(noise) and math.isfinite(signal) else 0.0
