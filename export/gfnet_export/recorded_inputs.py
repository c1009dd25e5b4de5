"""What a bundle's subgraphs are given while it looks at photos: what the ranges of 8-bit activations are found on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gfnet.inference.adaptive import classify
from gfnet_export.bundle.manifest import Manifest
from gfnet_export.runtime.runner import BundleRunner, Session

Inputs = dict[str, np.ndarray]
"""One run's inputs by name, as the manifest describes them."""


@dataclass(frozen=True)
class RecordingSession:
    """A session that remembers what it is given.

    Attributes:
        session: computes the results.
        seen: the inputs of every run, copied.
    """

    session: Session
    seen: list[Inputs] = field(default_factory=list)

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The session's named outputs."""
        self.seen.append({name: np.array(value) for name, value in inputs.items()})
        return self.session.run(outputs, inputs)


def record_inputs(
    manifest: Manifest, sessions: Mapping[str, Session], squares: Iterable[np.ndarray]
) -> dict[str, list[Inputs]]:
    """Walk photos through a bundle, each to the last step, whatever it is sure of.

    Args:
        manifest: the bundle's.
        sessions: one for each subgraph by name.
        squares: preprocessed images, uint8 [S,S,3].

    Returns:
        For each subgraph by name, the inputs of every run: one an image, or one an image and step where several steps
        share a subgraph.

    Raises:
        NetworkError: the network gives values that are NaN or infinite.
    """
    recording = {graph.name: RecordingSession(sessions[graph.name]) for graph in manifest.subgraphs}
    runner = BundleRunner(manifest, recording)
    for number, square in enumerate(squares, start=1):
        classify(runner, square[None], None, [f"image {number}"])
    return {name: session.seen for name, session in recording.items()}
