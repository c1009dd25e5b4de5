"""A bundle on ONNX Runtime, without torch; and on whatever else runs its subgraphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import onnxruntime as ort

from gfnet.errors import BundleError
from gfnet.geometry import crop_patch, resize_glance
from gfnet.predictor import Predictor
from gfnet_export import names
from gfnet_export.bundle import Bundle, open_bundle
from gfnet_export.manifest import Manifest, Subgraph, budget_points, preprocessing_of


class Session(Protocol):
    """What of ONNX Runtime's session is used here."""

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Compute the named outputs."""


Role = Literal["glance", "policy", "focus"]

State = dict[str, np.ndarray]
"""Tensors carried from step to step, by the name of the input that they become; and the pixels."""

_PIXELS = "pixels"


class BundleRunner:
    """A :class:`gfnet.adaptive.StepRunner` over a bundle's subgraphs; one image at a time.

    Args:
        manifest: the bundle's.
        sessions: a session, or what runs like one, for each subgraph by name.
    """

    def __init__(self, manifest: Manifest, sessions: Mapping[str, Session]) -> None:
        self.steps = manifest.steps
        self.image_size = manifest.preprocessing.image_size
        self.patch_size = manifest.patch_size
        self.interpolation = manifest.preprocessing.glance_interpolation
        self.sessions = sessions
        self._graphs: dict[tuple[Role, int], Subgraph] = {
            (graph.role, step): graph for graph in manifest.subgraphs for step in graph.steps
        }

    def glance(self, pixels: np.ndarray) -> tuple[np.ndarray, State]:
        if len(pixels) != 1:
            raise ValueError(f"a bundle runs one image at a time, not {len(pixels)}")
        image = resize_glance(pixels[0], self.patch_size, self.interpolation)
        state = self.run("glance", 1, {names.IMAGE: _planes(image), _PIXELS: pixels[0]})
        if self.steps > 1:
            hidden = next(spec for spec in self._graphs["policy", 2].inputs if spec.name == names.HIDDEN)
            state[names.HIDDEN] = np.zeros(hidden.shape, np.float32)
        return state[names.LOGITS], state

    def propose(self, state: State) -> tuple[np.ndarray, State]:
        state = self.run("policy", 2, state)
        return state[names.ACTION], state

    def focus(self, origins: np.ndarray, state: State, step: int) -> tuple[np.ndarray, State]:
        patch = crop_patch(state[_PIXELS], origins[0], self.patch_size)
        state = self.run("focus", step, {**state, names.PATCH: _planes(patch)})
        return state[names.LOGITS], state

    def select(self, state: State, keep: np.ndarray) -> State:
        return state  # one image: it either stays or the loop has ended

    def run(self, role: Role, step: int, state: State) -> State:
        """Run one subgraph; its outputs replace what they update in ``state``."""
        graph: Subgraph = self._graphs[role, step]
        outputs = [spec.name for spec in graph.outputs]
        values = self.sessions[graph.name].run(outputs, {spec.name: state[spec.name] for spec in graph.inputs})
        return {**state, **{names.CARRIED.get(name, name): value for name, value in zip(outputs, values, strict=True)}}


def open_session(path: Path, threads: int = 1) -> ort.InferenceSession:
    """An ONNX Runtime session set for the latency of one image on the CPU.

    Raises:
        BundleError: ONNX Runtime cannot load the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Anything below ALL leaves the blocked layout away and is more than twice as slow.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exception types share no public base
        raise BundleError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from error


def bundle_predictor(
    bundle: Bundle | str | Path, *, threads: int = 1, open_file: Callable[[Path, int], Session] = open_session
) -> Predictor:
    """A predictor that runs a bundle with ONNX Runtime.

    Args:
        threads: threads inside an operator.
        open_file: makes a session of a file; a benchmark puts a stopwatch here.

    Raises:
        BundleError: the bundle is missing, altered, or of another format.
    """
    if not isinstance(bundle, Bundle):
        bundle = open_bundle(bundle)
    manifest = bundle.manifest
    if manifest.format != "onnx":
        raise BundleError(f"{bundle.folder}: a {manifest.format} bundle cannot run here; export it with `onnx`")
    return predictor_of(
        manifest, {graph.name: open_file(bundle.path_of(graph), threads) for graph in manifest.subgraphs}
    )


def predictor_of(manifest: Manifest, sessions: Mapping[str, Session]) -> Predictor:
    """A predictor over whatever runs a bundle's subgraphs.

    Args:
        sessions: for each subgraph by name.
    """
    return Predictor(
        runner=BundleRunner(manifest, sessions),
        preprocessing=preprocessing_of(manifest),
        labels=manifest.labels,
        points=budget_points(manifest),
    )


def _planes(pixels: np.ndarray) -> np.ndarray:
    """Pixels [P,P,3] of any dtype as the subgraphs' input, float32 [1,3,P,P]."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
