"""A bundle on ONNX Runtime, without torch."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import onnxruntime as ort

from gfnet.errors import BundleError
from gfnet.escaping import one_line
from gfnet.inference.geometry import crop_patch, resize_glance
from gfnet.inference.predictor import Predictor
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.manifest import Manifest, Subgraph, TensorSpec
from gfnet_export.bundle.reader import Bundle, open_bundle
from gfnet_export.choices import Provider
from gfnet_export.runtime.onnx_file import refuse_external_data
from gfnet_export.runtime.runner import BundleSteps, predictor_over

Optimisation = Literal["all", "extended", "basic", "off"]

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
_OPTIMISATIONS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_OLDEST_FOR_VECTORS = (1, 22)
"""The first ONNX Runtime that loads ``MatMulNBits`` with 8 bits; ``setup.cfg`` asks for it."""
_DTYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


class OnnxRunner(BundleSteps):
    """A :class:`gfnet.inference.adaptive.StepRunner` over ONNX Runtime; one image a call, several threads at once.

    Buffers are made once for each image in flight and bound to the sessions; what one subgraph gives lies where the
    next one reads it.  A step allocates its logits and nothing else; an action is good until the next step.

    Args:
        manifest: the bundle's.
        sessions: one for each subgraph by name.
    """

    def __init__(self, manifest: Manifest, sessions: Mapping[str, ort.InferenceSession]) -> None:
        super().__init__(manifest)
        self.sessions = sessions
        self._free: deque[_Buffers] = deque()  # its methods are atomic

    def glance(self, pixels: np.ndarray) -> tuple[np.ndarray, _Lease]:
        self._check(pixels)
        state = _Lease(self._take(), self._free, pixels)
        graph = self._graphs["glance", 1].name
        image = state.buffers.input(graph, names.IMAGE)
        image[0] = resize_glance(pixels[0], self.patch_size, self.interpolation).transpose(2, 0, 1)
        state.buffers.run(graph)
        state.buffers.start_over()
        return state.buffers.output(graph, names.LOGITS).copy(), state

    def propose(self, state: _Lease) -> tuple[np.ndarray, _Lease]:
        state.step += 1
        graph = self._graphs["step" if self.fused else "policy", state.step].name
        if self.fused and state.step == 2:  # one place for all steps
            state.buffers.input(graph, names.PIXELS)[:] = state.pixels
        state.buffers.run(graph)
        return state.buffers.output(graph, names.ACTION), state

    def focus(self, origins: np.ndarray, state: _Lease, step: int) -> tuple[np.ndarray, _Lease]:
        graph = self._graphs["step" if self.fused else "focus", step].name
        if not self.fused:  # otherwise it was done with the proposal
            patch = crop_patch(state.pixels[0], origins[0].tolist(), self.patch_size)
            state.buffers.input(graph, names.PATCH)[0] = patch.transpose(2, 0, 1)
            state.buffers.run(graph)
        return state.buffers.output(graph, names.LOGITS).copy(), state

    def select(self, state: _Lease, keep: np.ndarray) -> _Lease:
        return state  # one image: it either stays or the loop has ended

    def _take(self) -> _Buffers:
        try:
            return self._free.pop()
        except IndexError:
            return _Buffers({graph.name: graph for graph in self._graphs.values()}, self.sessions)


class _Lease:
    """The state of one image: the buffers that belong to it until nothing refers to it any more."""

    def __init__(self, buffers: _Buffers, free: deque[_Buffers], pixels: np.ndarray) -> None:
        self.buffers, self.pixels, self.step = buffers, pixels, 1
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.buffers)


class _Buffers:
    """Memory for one image in flight, bound to every session."""

    def __init__(self, graphs: Mapping[str, Subgraph], sessions: Mapping[str, ort.InferenceSession]) -> None:
        self._sessions = sessions
        self._shared: dict[tuple[str, tuple[int, ...]], np.ndarray] = {}
        self._inputs: dict[tuple[str, str], np.ndarray] = {}
        self._outputs: dict[tuple[str, str], np.ndarray] = {}
        self._bindings: dict[str, ort.IOBinding] = {}
        self._moves: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for name, graph in graphs.items():
            self._bind(name, graph)
        self._hidden = [array for (name, _), array in self._shared.items() if name == names.HIDDEN]

    def _bind(self, name: str, graph: Subgraph) -> None:
        binding = self._bindings[name] = self._sessions[name].io_binding()
        read = set()
        for spec in graph.inputs:
            key = (spec.name, spec.shape)
            read.add(key)
            self._inputs[name, spec.name] = array = self._buffer(spec, spec.name)
            binding.bind_ortvalue_input(spec.name, ort.OrtValue.ortvalue_from_numpy(array))
        self._moves[name] = []
        for spec in graph.outputs:
            becomes = names.CARRIED.get(spec.name, spec.name)
            array = self._buffer(spec, becomes)
            if (becomes, spec.shape) in read:  # a graph must not write where it reads: move it afterwards
                target, array = array, np.empty_like(array)
                self._moves[name].append((target, array))
            self._outputs[name, spec.name] = array
            binding.bind_ortvalue_output(spec.name, ort.OrtValue.ortvalue_from_numpy(array))

    def _buffer(self, spec: TensorSpec, name: str) -> np.ndarray:
        key = (name, spec.shape)
        if key not in self._shared:
            self._shared[key] = np.zeros(spec.shape, spec.dtype)
        return self._shared[key]

    def start_over(self) -> None:
        """Forget what the policy remembers."""
        for array in self._hidden:
            array.fill(0)

    def input(self, graph: str, name: str) -> np.ndarray:
        """Where a subgraph reads an input."""
        return self._inputs[graph, name]

    def output(self, graph: str, name: str) -> np.ndarray:
        """Where a subgraph leaves an output, until it runs again."""
        return self._outputs[graph, name]

    def run(self, graph: str) -> None:
        """Run a subgraph on what its inputs hold."""
        self._sessions[graph].run_with_iobinding(self._bindings[graph])
        for target, source in self._moves[graph]:
            target[:] = source


def open_session(
    path: Path,
    threads: int = 1,
    provider: Provider = "cpu",
    *,
    optimisation: Optimisation = "all",
    spinning: bool = True,
    exact_int8: bool = False,
) -> ort.InferenceSession:
    """An ONNX Runtime session set for the latency of one image.

    Args:
        threads: inside an operator.
        provider: what runs the operators; those that it cannot run fall to the CPU.
        optimisation: of the graph.  Anything below ``all`` leaves the blocked layout away and is more than twice as
            slow.
        spinning: whether threads wait for work without sleeping.
        exact_int8: on x86 processors without VNNI, products of an ``int8`` bundle that cannot saturate, which is
            slower; others compute the same without it.

    Raises:
        BundleError: ONNX Runtime cannot load the file, or has no such provider.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1 if provider == "xnnpack" else threads  # XNNPACK has threads of its own
    options.inter_op_num_threads = 1
    options.graph_optimization_level = _OPTIMISATIONS[optimisation]
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if exact_int8:
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    available = [name for name in get_args(Provider) if _PROVIDERS[name] in ort.get_available_providers()]
    if provider not in available:
        raise BundleError(f"this onnxruntime has no provider {provider!r}; it has {', '.join(available)}")
    chosen: list[tuple[str, dict[str, str]]] = [(_PROVIDERS[provider], _provider_options(provider, threads))]
    if provider != "cpu":
        chosen.append((_PROVIDERS["cpu"], {}))
    try:
        return ort.InferenceSession(str(path), options, providers=chosen)
    except Exception as error:  # ONNX Runtime's own exception types share no public base
        raise BundleError(f"{path}: ONNX Runtime cannot load it ({one_line(error)})") from error


def _provider_options(provider: Provider, threads: int) -> dict[str, str]:
    if provider == "coreml":
        return {"ModelFormat": "MLProgram", "RequireStaticInputShapes": "1"}
    return {"intra_op_num_threads": str(threads)} if provider == "xnnpack" else {}


def open_bundle_sessions(
    bundle: Bundle, *, threads: int = 1, open_file: Callable[[Path, int], ort.InferenceSession] = open_session
) -> dict[str, ort.InferenceSession]:
    """A session for each subgraph of an ONNX bundle, by name.

    Args:
        open_file: makes a session of a file; a benchmark puts a stopwatch here.

    Raises:
        BundleError: it is of another format, needs a newer ONNX Runtime, or a file is not what the manifest says or
            reads from elsewhere.
    """
    if bundle.manifest.format != "onnx":
        way = "`gfnet predict` takes it without such options, or export it with `onnx`"
        raise BundleError(f"{bundle.folder}: not for ONNX Runtime, but {bundle.manifest.format}; {way}")
    _check_version(bundle)
    sessions = {}
    for graph in bundle.manifest.subgraphs:
        refuse_external_data(bundle.path_of(graph))
        sessions[graph.name] = session = open_file(bundle.path_of(graph), threads)
        for wanted, found in ((graph.inputs, session.get_inputs()), (graph.outputs, session.get_outputs())):
            described = sorted((spec.name, spec.shape, _DTYPES[spec.dtype]) for spec in wanted)
            if described != sorted((tensor.name, tuple(tensor.shape), tensor.type) for tensor in found):
                raise BundleError(
                    f"{bundle.path_of(graph)}: its tensors are not those of the manifest; export the bundle again"
                )
    return sessions


def _check_version(bundle: Bundle) -> None:
    found = re.match(r"(\d+)\.(\d+)", ort.__version__)
    too_old = found is not None and (int(found[1]), int(found[2])) < _OLDEST_FOR_VECTORS
    if too_old and bundle.manifest.precision in ("int8-heads", "int8-vectors"):
        oldest = ".".join(map(str, _OLDEST_FOR_VECTORS))
        raise BundleError(
            f"{bundle.folder}: {bundle.manifest.precision} needs onnxruntime {oldest} or newer, and this is "
            f"{ort.__version__}; install a newer one, or export the network in another precision"
        )


def bundle_predictor(
    bundle: Bundle | str | Path,
    *,
    threads: int = 1,
    provider: Provider = "cpu",
    exact_int8: bool = False,
) -> Predictor:
    """A predictor that runs a bundle with ONNX Runtime; may be called from several threads at once.

    Args:
        threads: threads inside an operator.
        provider: what runs the operators.
        exact_int8: see :func:`open_session`.

    Raises:
        BundleError: the bundle is missing, altered, or of another format; there is no such provider, or nothing for
            ``exact_int8`` to do.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    if exact_int8 and bundle.manifest.precision != "int8":
        raise BundleError(f"{bundle.folder}: is {bundle.manifest.precision}; exact_int8 is for int8, leave it out")

    def open_file(path: Path, threads: int) -> ort.InferenceSession:
        return open_session(path, threads, provider, exact_int8=exact_int8)

    sessions = open_bundle_sessions(bundle, threads=threads, open_file=open_file)
    return predictor_over(bundle.manifest, OnnxRunner(bundle.manifest, sessions))
