"""What takes part in a run: a bundle's network, or a classifier that sees the full image once.  Needs no torch."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from gfnet import config
from gfnet.config import Interpolation
from gfnet.errors import BundleError, DataError
from gfnet.inference.adaptive import StepRunner
from gfnet.inference.budgets import BudgetPoint
from gfnet.inference.images import Preprocessing
from gfnet.results.schema import Role, Runtime, Tried
from gfnet_benchmark.measure.timing import Clock, Stopwatch
from gfnet_export.bundle.manifest import Manifest, preprocessing_of
from gfnet_export.bundle.reader import MANIFEST, Bundle, open_bundle, sha256_of
from gfnet_export.runtime.onnx_runtime import OnnxRunner, Optimisation, Provider, open_bundle_sessions, open_session


@dataclass(frozen=True)
class Settings:
    """How ONNX Runtime is told to run.

    Attributes:
        threads: inside an operator.
        provider: what runs the operators.
        optimisation: of the graph.
        spinning: whether threads wait for work without sleeping.
        exact_int8: whether 8-bit products never saturate; see :func:`gfnet_export.runtime.onnx_runtime.open_session`.
    """

    threads: int = 1
    provider: Provider = "cpu"
    optimisation: Optimisation = "all"
    spinning: bool = True
    exact_int8: bool = False

    def open(self, path: Path) -> ort.InferenceSession:
        """A session with these settings."""
        return open_session(
            path,
            self.threads,
            self.provider,
            optimisation=self.optimisation,
            spinning=self.spinning,
            exact_int8=self.exact_int8,
        )

    def runtime(self) -> Runtime:
        """As a result describes it."""
        return Runtime(
            name="ONNX Runtime",
            version=ort.__version__,
            compute_units=self.provider.upper(),
            threads=self.threads,
            settings=self.named(),
        )

    def named(self) -> dict[str, str]:
        """What else is set, by name."""
        named = {"optimisation": self.optimisation, "spinning": "on" if self.spinning else "off"}
        return {**named, "int8": "exact"} if self.exact_int8 else named


@dataclass(frozen=True)
class Entry:
    """What is to be measured, not yet opened.

    Attributes:
        name: unique in the run.
        path: a bundle's folder, or an ONNX file.
        network: of an ONNX file: what it is, ``backbone@image_size``.
        precision: of an ONNX file.
        preprocessing: of an ONNX file: from photo to square.
        tried: settings that ``settings`` are the fastest of.
    """

    name: str
    path: Path
    settings: Settings = Settings()
    network: str | None = None
    precision: str = "fp32"
    preprocessing: Preprocessing | None = None
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A subgraph's name, and when it runs."""

    name: str
    role: Role
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """What is known of a contender once it was opened.

    Attributes:
        entry: what was asked for.
        network: as results call it.
        points: stored sets of thresholds.
        graphs: its subgraphs.
    """

    entry: Entry
    kind: Literal["network", "classifier"]
    architecture: str
    network: str
    image_size: int
    precision: str
    layout: str
    bytes: int
    macs: tuple[float, ...]
    stored_top1: tuple[float, ...]
    points: tuple[BudgetPoint, ...]
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing
    graphs: tuple[Graph, ...]


@dataclass(frozen=True)
class Contender:
    """What is measured, opened.

    Attributes:
        runner: classifies images; ``timed`` does too, and notes in ``watch`` what its subgraphs' calls take.
    """

    description: Description
    runner: StepRunner
    timed: StepRunner
    watch: Stopwatch


Around = Callable[[str, Callable[[], ort.InferenceSession]], ort.InferenceSession]


def open_contender(entry: Entry, clock: Clock, around: Around = lambda _name, make: make()) -> Contender:
    """Open all sessions of an entry.

    Args:
        clock: for the contender's ``watch``.
        around: called with each subgraph's name and what makes its session, which it has to return.

    Raises:
        BundleError: it is missing, of another format, or not what its manifest says.
        DataError: it is no classifier of one square image.
    """
    watch = Stopwatch(clock)

    def session_of(path: Path, _threads: int = 1) -> ort.InferenceSession:
        return around(path.stem, lambda: entry.settings.open(path))

    if entry.path.is_dir():
        return _open_bundle(entry, open_bundle(entry.path), watch, session_of)
    if not entry.path.exists():
        raise BundleError(f"{entry.path}: no such bundle or ONNX file")
    return _open_classifier(entry, watch, session_of)


def _open_bundle(entry: Entry, bundle: Bundle, watch: Stopwatch, session_of: Any) -> Contender:
    manifest = bundle.manifest
    sessions = open_bundle_sessions(bundle, threads=entry.settings.threads, open_file=session_of)
    single = _is_classifier(manifest)
    description = Description(
        entry=entry,
        kind="classifier" if single else "network",
        architecture=manifest.architecture,
        network=network_name(manifest),
        image_size=manifest.preprocessing.image_size,
        precision=precision_name(manifest),
        layout=manifest.layout,
        bytes=bundle.bytes,
        macs=manifest.step_macs,
        stored_top1=manifest.anytime_top1,
        points=manifest.budgets,
        labels=manifest.labels,
        preprocessing=preprocessing_of(manifest),
        graphs=tuple(
            Graph(graph.name, "classifier" if single else graph.role, graph.steps) for graph in manifest.subgraphs
        ),
    )
    timed = OnnxRunner(manifest, _timed(sessions, watch))
    return Contender(description, OnnxRunner(manifest, sessions), timed, watch)


def _open_classifier(entry: Entry, watch: Stopwatch, session_of: Any) -> Contender:
    session = session_of(entry.path)
    runner = ClassifierRunner(entry.path, session)
    size = runner.image_size
    name = entry.path.stem
    description = Description(
        entry=entry,
        kind="classifier",
        architecture=(entry.network or name).partition("@")[0],
        network=entry.network or f"{name}@{size}",
        image_size=size,
        precision=entry.precision,
        layout="split",
        bytes=entry.path.stat().st_size,
        macs=(),
        stored_top1=(),
        points=(),
        labels=None,
        preprocessing=entry.preprocessing or Preprocessing(size, round(size * 256 / 224), "bilinear"),
        graphs=(Graph(name, "classifier", (1,)),),
    )
    timed = ClassifierRunner(entry.path, _timed({name: session}, watch)[name])
    return Contender(description, runner, timed, watch)


def network_name(manifest: Manifest) -> str:
    """What a bundle is, as results call it: backbone, patch size, steps; of a classifier, backbone and image size."""
    if _is_classifier(manifest):
        return f"{manifest.architecture}@{manifest.preprocessing.image_size}"
    return config.network_name(manifest.architecture, manifest.patch_size, manifest.steps)


def precision_name(manifest: Manifest) -> str:
    """Of weights and activations, and how weights are compressed."""
    return manifest.precision if manifest.compression == "none" else f"{manifest.precision} {manifest.compression}"


def _is_classifier(manifest: Manifest) -> bool:
    """Whether a bundle looks at the whole image once."""
    return manifest.steps == 1 and manifest.patch_size == manifest.preprocessing.image_size


class ClassifierRunner:
    """A :class:`gfnet.inference.adaptive.StepRunner` of one step over any ONNX classifier of one image.

    Its only input is float32 [1,3,S,S] or [1,S,S,3] (a free batch size is taken as 1), and gets pixels 0 .. 255; its
    first output is taken for the logits.

    Raises:
        DataError: it has other inputs.
    """

    steps = 1
    interpolation: Interpolation = "bilinear"

    def __init__(self, path: Path, session: ort.InferenceSession) -> None:
        inputs = session.get_inputs()
        shape = [1 if i == 0 and not isinstance(side, int) else side for i, side in enumerate(inputs[0].shape)]
        self._planes = shape[1:2] == [3]
        sides = set(shape[2:] if self._planes else shape[1:3])
        fits = len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(shape) == 4 and shape[0] == 1
        if not (fits and len(sides) == 1 and isinstance(shape[2], int) and 3 in (shape[1], shape[3])):
            found = ", ".join(f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in inputs)
            raise DataError(f"{path}: takes {found}; a baseline takes one float image [1,3,S,S] or [1,S,S,3]")
        self.image_size = self.patch_size = int(shape[2])
        self._image = np.zeros(shape, np.float32)
        self._session, self._binding = session, session.io_binding()
        self._binding.bind_ortvalue_input(inputs[0].name, ort.OrtValue.ortvalue_from_numpy(self._image))
        self._output = session.get_outputs()[0].name
        self._binding.bind_output(self._output)

    def glance(self, pixels: np.ndarray) -> tuple[np.ndarray, None]:
        """Logits of pixels uint8 [1,S,S,3]."""
        self._image[0] = pixels[0].transpose(2, 0, 1) if self._planes else pixels[0]
        self._session.run_with_iobinding(self._binding)
        return self._binding.get_outputs()[0].numpy().reshape(1, -1), None

    def propose(self, state: Any) -> tuple[np.ndarray, Any]:
        raise ValueError("a classifier has no second step")

    def focus(self, origins: np.ndarray, state: Any, step: int) -> tuple[np.ndarray, Any]:
        raise ValueError("a classifier has no second step")

    def select(self, state: Any, keep: np.ndarray) -> Any:
        return state


class TimedSession:
    """An ONNX Runtime session whose calls a stopwatch sees, without what is done around them."""

    def __init__(self, session: ort.InferenceSession, name: str, watch: Stopwatch) -> None:
        self._session, self._name, self._watch = session, name, watch

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._session, attribute)

    def run_with_iobinding(self, binding: ort.IOBinding) -> None:
        self._watch.time(self._name, lambda: self._session.run_with_iobinding(binding))


def _timed(sessions: Mapping[str, ort.InferenceSession], watch: Stopwatch) -> dict[str, Any]:
    return {name: TimedSession(session, name, watch) for name, session in sessions.items()}


def digest(path: Path) -> str:
    """Digest of a bundle's manifest, which names those of everything else; or of a file."""
    return sha256_of(path / MANIFEST if path.is_dir() else path)


def git_revision(path: Path) -> str | None:
    """Git revision of a bundle's folder, or of the folder of a file; ``None`` outside of a repository."""
    folder = path if path.is_dir() else path.parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
