"""What a network's subgraphs are given when it looks at photos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from gfnet.adaptive import classify
from gfnet_export.manifest import Manifest
from gfnet_export.runner import BundleRunner, Session


def record_inputs(
    manifest: Manifest, sessions: Mapping[str, Session], squares: Iterable[np.ndarray]
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Run photos through all steps, and keep what each subgraph was given.

    Args:
        sessions: for each subgraph by name.
        squares: preprocessed images, uint8 [S,S,3].

    Returns:
        By subgraph: inputs by name, one after another.
    """
    recorders = {name: _Recorder(session) for name, session in sessions.items()}
    runner = BundleRunner(manifest, recorders)
    for square in squares:
        classify(runner, square[None], None, [""])
    return {name: recorder.inputs for name, recorder in recorders.items()}


class _Recorder:
    """A session that remembers what it was given."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.inputs: list[dict[str, np.ndarray]] = []

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.inputs.append({name: value.copy() for name, value in inputs.items()})
        return self.session.run(outputs, inputs)
