"""A bundle of Core ML packages, run by the interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gfnet.errors import BundleError
from gfnet.inference.predictor import Predictor
from gfnet_export.bundle.reader import Bundle, open_bundle
from gfnet_export.choices import Rounding
from gfnet_export.mil.interpreter import Interpreter, Overflow
from gfnet_export.mil.package import read_package
from gfnet_export.runtime.runner import BundleRunner, predictor_over


class MilSession:
    """A subgraph that runs like one of ONNX Runtime's sessions.

    Args:
        path: an ``.mlpackage``.
        function: of a package with several.
        rounding: see :class:`Interpreter`.

    Raises:
        MilError: it is damaged, or has operations that are not known here.
    """

    def __init__(self, path: Path, function: str | None = None, rounding: Rounding = "declared") -> None:
        self.function = read_package(path).function(function)
        self._interpreter = Interpreter(self.function, rounding=rounding)

    @property
    def overflow(self) -> Overflow | None:
        """The first float16 result that left the range of float16 in any run so far."""
        return self._interpreter.overflow

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Compute the named outputs."""
        found = self._interpreter(inputs)
        return [found[name] for name in outputs]


def open_sessions(bundle: Bundle, rounding: Rounding = "declared") -> dict[str, MilSession]:
    """A session for each subgraph of a Core ML bundle, by name.

    Raises:
        BundleError: it is of another format, or a package is not what the manifest says.
        MilError: a package is damaged, or has operations that are not known here.
    """
    if bundle.manifest.format != "coreml":
        raise BundleError(f"{bundle.folder}: a {bundle.manifest.format} bundle; the interpreter runs Core ML ones")
    sessions = {}
    for graph in bundle.manifest.subgraphs:
        sessions[graph.name] = session = MilSession(bundle.path_of(graph), graph.function, rounding)
        function = session.function
        inputs = {name: (tuple(kind.shape), name in function.pictures) for name, kind in function.inputs.items()}
        wanted = {spec.name: (spec.shape, spec.kind == "image") for spec in graph.inputs}
        if inputs != wanted or set(function.outputs) != {spec.name for spec in graph.outputs}:
            raise BundleError(
                f"{bundle.path_of(graph)}: its tensors are not those of the manifest; export the bundle again"
            )
    return sessions


def mil_predictor(bundle: Bundle | str | Path, *, rounding: Rounding = "declared") -> Predictor:
    """A predictor that runs a Core ML bundle without a Mac; right, not fast.

    Raises:
        BundleError: the bundle is missing, altered, or of another format.
        MilError: a package is damaged, or has operations that are not known here.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    return predictor_over(bundle.manifest, BundleRunner(bundle.manifest, open_sessions(bundle, rounding)))
