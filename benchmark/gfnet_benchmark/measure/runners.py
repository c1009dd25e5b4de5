"""A bundle or an ONNX classifier on ONNX Runtime, with the settings that a benchmark asks for.  Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from gfnet.config import Interpolation
from gfnet.errors import DataError
from gfnet.inference.adaptive import StepRunner
from gfnet.results.schema import Runtime
from gfnet_benchmark.measure.timing import Clock, Stopwatch
from gfnet_export.bundle.reader import open_bundle
from gfnet_export.choices import Provider
from gfnet_export.runtime.onnx_runtime import OnnxRunner, Optimisation, open_bundle_sessions, open_session


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
class Runners:
    """The same sessions run in two ways.

    Attributes:
        plain: classifies images.
        timed: does too, and notes in ``watch`` what each subgraph's calls take.
    """

    plain: StepRunner
    timed: StepRunner
    watch: Stopwatch


Around = Callable[[str, Callable[[], ort.InferenceSession]], ort.InferenceSession]


def open_runners(path: Path, settings: Settings, clock: Clock, around: Around = lambda _name, make: make()) -> Runners:
    """Open all sessions of a bundle's folder or of an ONNX classifier.

    Args:
        clock: for the stopwatch.
        around: called with each subgraph's name and what makes its session, which it has to return.

    Raises:
        BundleError: it is of another format, or not what its manifest says.
        DataError: it is not a classifier of one square image.
    """
    watch = Stopwatch(clock)

    def open_file(file: Path, _threads: int = 1) -> ort.InferenceSession:
        return around(file.stem, lambda: settings.open(file))

    if path.is_dir():
        bundle = open_bundle(path)
        sessions = open_bundle_sessions(bundle, threads=settings.threads, open_file=open_file)
        timed: Any = {name: TimedSession(session, name, watch) for name, session in sessions.items()}
        return Runners(OnnxRunner(bundle.manifest, sessions), OnnxRunner(bundle.manifest, timed), watch)
    session = open_file(path)
    timed = TimedSession(session, path.stem, watch)
    return Runners(ClassifierRunner(path, session), ClassifierRunner(path, timed), watch)


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
