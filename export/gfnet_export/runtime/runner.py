"""A bundle's step functions over whatever runs its subgraphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from gfnet.inference.adaptive import StepRunner
from gfnet.inference.geometry import crop_patch, resize_glance
from gfnet.inference.predictor import Predictor
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.manifest import Manifest, Role, Subgraph, TensorSpec, preprocessing_of


class Session(Protocol):
    """What of ONNX Runtime's session is used here."""

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Compute the named outputs."""


State = dict[str, np.ndarray]
"""Tensors carried from step to step, by the name of the input that they become; and the pixels [1,S,S,3]."""


class BundleSteps:
    """What a runner of a bundle knows of it.

    Attributes:
        fused: whether a later step is one subgraph.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.steps = manifest.steps
        self.image_size = manifest.preprocessing.image_size
        self.patch_size = manifest.patch_size
        self.interpolation = manifest.preprocessing.glance_interpolation
        self.fused = manifest.layout == "fused"
        self._graphs: dict[tuple[Role, int], Subgraph] = {
            (graph.role, step): graph for graph in manifest.subgraphs for step in graph.steps
        }

    def _check(self, pixels: np.ndarray) -> None:
        wanted = (1, self.image_size, self.image_size, 3)
        if pixels.shape != wanted:
            raise ValueError(f"pixels are {list(pixels.shape)}, but a bundle takes one image, {list(wanted)}")


class BundleRunner(BundleSteps):
    """A :class:`gfnet.inference.adaptive.StepRunner` over a bundle's subgraphs; one image at a time.

    Args:
        manifest: the bundle's.
        sessions: a session, or what runs like one, for each subgraph by name.
    """

    def __init__(self, manifest: Manifest, sessions: Mapping[str, Session]) -> None:
        super().__init__(manifest)
        self.sessions = sessions

    def glance(self, pixels: np.ndarray) -> tuple[np.ndarray, State]:
        self._check(pixels)
        image = resize_glance(pixels[0], self.patch_size, self.interpolation)
        graph = self._graphs["glance", 1]
        state = self.run(
            graph, {names.IMAGE: _planes(image, graph.inputs[0]), names.PIXELS: pixels, _STEP: np.array(1)}
        )
        if self.steps > 1:
            first = self._graphs["step" if self.fused else "policy", 2]
            shape = next(spec.shape for spec in first.inputs if spec.name == names.HIDDEN)
            state[names.HIDDEN] = np.zeros(shape, np.float32)
        return state[names.LOGITS], state

    def propose(self, state: State) -> tuple[np.ndarray, State]:
        step = int(state[_STEP]) + 1
        state = {**self.run(self._graphs["step" if self.fused else "policy", step], state), _STEP: np.array(step)}
        return state[names.ACTION], state

    def focus(self, origins: np.ndarray, state: State, step: int) -> tuple[np.ndarray, State]:
        if not self.fused:  # otherwise that was done with the proposal
            graph = self._graphs["focus", step]
            patch = crop_patch(state[names.PIXELS][0], origins[0], self.patch_size)
            spec = next(spec for spec in graph.inputs if spec.name == names.PATCH)
            state = self.run(graph, {**state, names.PATCH: _planes(patch, spec)})
        return state[names.LOGITS], state

    def select(self, state: State, keep: np.ndarray) -> State:
        return state  # one image: it either stays or the loop has ended

    def run(self, graph: Subgraph, state: State) -> State:
        """Run one subgraph; its outputs replace what they update in ``state``."""
        outputs = [spec.name for spec in graph.outputs]
        values = self.sessions[graph.name].run(outputs, {spec.name: state[spec.name] for spec in graph.inputs})
        return {**state, **{names.CARRIED.get(name, name): value for name, value in zip(outputs, values, strict=True)}}


_STEP = "last step"  # beside the tensors


def predictor_over(manifest: Manifest, runner: StepRunner) -> Predictor:
    """A predictor over a bundle's step functions."""
    return Predictor(
        runner=runner,
        preprocessing=preprocessing_of(manifest),
        labels=manifest.labels,
        points=manifest.budgets,
    )


def _planes(pixels: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Pixels [P,P,3] of any dtype as a subgraph's input [1,3,P,P], float32; as 8 bits would hold them for a picture."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
    return np.rint(planes).clip(0, 255) if spec.kind == "image" else planes
