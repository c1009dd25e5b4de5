"""Runs Core AI bundles in Apple's own runtime, which exists for Linux too; right, and slower than on a phone."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import threading
import time
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gfnet.errors import BundleError
from gfnet.escaping import one_line
from gfnet.inference.predictor import Predictor
from gfnet_export.bundle.reader import Bundle, open_bundle
from gfnet_export.quiet import natively_quiet, quietly
from gfnet_export.runtime.runner import BundleRunner, predictor_over

with quietly():
    from coreai.authoring import AIModelAsset
    from coreai.runtime import NDArray

_Result = TypeVar("_Result")
_LET_GO_S = 0.2
"""After a run the runtime's own threads still let go of Python's objects, and if Python ends meanwhile, the process
aborts: 6 times of 24 without a wait, never of 24 after 0.02 s."""
_FUNCTION = "main"
_PROGRAM, _PROGRAM_HASH = "main.mlirb", "main.hash"


class CoreAISession:
    """An asset that Apple's runtime runs; like one of ONNX Runtime's sessions.

    Args:
        path: an ``.aimodel``.

    Raises:
        BundleError: it is missing, damaged, or of a version that the runtime does not know.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_program(path)
        try:
            with natively_quiet():
                self._function = _wait_for(_load(path.absolute()))  # the runtime finds no relative path
        except Exception as error:  # the runtime's errors are of many kinds
            raise BundleError(f"{path}: Core AI cannot load it ({one_line(error)}); export it again") from error

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs, all float32, by name."""
        told = self._function.desc
        return {name: tuple(told.input_descriptor(name).shape) for name in told.input_names}

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Likewise of the outputs."""
        told = self._function.desc
        return {name: tuple(told.output_descriptor(name).shape) for name in told.output_names}

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Compute the named outputs, float32.

        Raises:
            BundleError: an input is missing, or not as the asset wants it.
        """
        try:
            found = _wait_for(self._compute(inputs))
            return [found[name] for name in outputs]
        except Exception as error:  # as above
            raise BundleError(f"{self.path}: Core AI cannot run it ({one_line(error)})") from error

    async def _compute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: NDArray(np.ascontiguousarray(value, np.float32)) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in (await self._function(given)).items()}


def open_core_ai_sessions(bundle: Bundle) -> dict[str, CoreAISession]:
    """A session for each subgraph of a Core AI bundle, by name.

    Raises:
        BundleError: it is of another format, or an asset is damaged or not what the manifest says.
    """
    if bundle.manifest.format != "coreai":
        raise BundleError(f"{bundle.folder}: a {bundle.manifest.format} bundle; Core AI runs those of `export coreai`")
    sessions = {}
    for graph in bundle.manifest.subgraphs:
        sessions[graph.name] = session = CoreAISession(bundle.path_of(graph))
        for wanted, found in ((graph.inputs, session.inputs), (graph.outputs, session.outputs)):
            if {spec.name: spec.shape for spec in wanted} != found:
                raise BundleError(f"{session.path}: its tensors are not those of the manifest; export the bundle again")
    return sessions


def core_ai_predictor(bundle: Bundle | str | Path) -> Predictor:
    """A predictor that runs a Core AI bundle in Apple's runtime.

    Raises:
        BundleError: the bundle is missing, altered, or of another format; or an asset is damaged.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    return predictor_over(bundle.manifest, BundleRunner(bundle.manifest, open_core_ai_sessions(bundle)))


def _check_program(path: Path) -> None:
    """Refuse a program that is not what was written: on a damaged one the runtime ends the whole process."""
    try:
        whole = hashlib.sha256((path / _PROGRAM).read_bytes()).digest() == (path / _PROGRAM_HASH).read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: not a Core AI asset ({error.strerror}: {Path(error.filename).name})") from error
    if not whole:
        raise BundleError(f"{path}: its program is damaged; copy the bundle or export it again")


async def _load(path: Path) -> Any:
    """An asset's function, which needs nothing of the asset any more."""
    async with AIModelAsset.load(path).executable() as model:
        return model.load_function(_FUNCTION)


def _wait_for(work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of work that is done in the runtime's event loop, so that callers may have one of their own."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of all sessions, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="Core AI", daemon=True)
    thread.start()

    def end() -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        time.sleep(_LET_GO_S)

    atexit.register(end)
    return loop
