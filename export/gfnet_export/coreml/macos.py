"""What only macOS can do: run, compile and plan Core ML packages with Core ML itself.

Everything goes through coremltools, which is imported when something is done, so that this module can be imported on
any machine.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gfnet.errors import BundleError, ExportError
from gfnet.escaping import one_line
from gfnet.files.replacing import atomic_folder
from gfnet_export.bundle.reader import Bundle
from gfnet_export.choices import ComputeUnits
from gfnet_export.mil.package import image_inputs
from gfnet_export.quiet import quietly

_UNITS = {"all": "ALL", "cpu_and_ne": "CPU_AND_NE", "cpu_and_gpu": "CPU_AND_GPU", "cpu_only": "CPU_ONLY"}
_DEVICES = {
    "MLCPUComputeDevice": "CPU",
    "MLGPUComputeDevice": "GPU",
    "MLNeuralEngineComputeDevice": "Neural Engine",
}
_COMPILED = ".mlmodelc"
_OPSET = re.compile(r"^ios\d+\.")  # before an operation's name: the oldest system that has it


@dataclass(frozen=True)
class PlannedOperation:
    """One operation of an ML program, and where Core ML means to run it.

    Attributes:
        type: what it computes, e.g. ``conv``.
        output: the name of its first result.
        device: ``CPU``, ``GPU`` or ``Neural Engine``; ``None`` where Core ML does not say.
        supported: the devices that could run it.
        cost: its estimated share of the whole, [0, 1]; ``None`` where Core ML does not say.
    """

    type: str
    output: str
    device: str | None
    supported: tuple[str, ...]
    cost: float | None


@dataclass(frozen=True)
class DeviceShare:
    """How much of a plan is for one device.

    Attributes:
        device: as in :class:`PlannedOperation`.
        operations: number of operations.
        operation_share: of all operations, [0, 1].
        cost_share: of the estimated cost of all operations, [0, 1]; ``None`` where no operation has one.
    """

    device: str | None
    operations: int
    operation_share: float
    cost_share: float | None


def is_macos() -> bool:
    """Whether Core ML itself is at hand."""
    return sys.platform == "darwin"


def require_macos(what: str) -> None:
    """Refuse what only macOS can do.

    Args:
        what: a noun, e.g. ``a compute plan``.

    Raises:
        ExportError: this is another system.
    """
    if not is_macos():
        raise ExportError(
            f"{what} needs macOS: only there is Core ML; here `gfnet mil run`, `gfnet mil lint` and `gfnet verify` "
            "interpret packages on any machine"
        )


class CoreMLSession:
    """A package that Core ML runs; like one of ONNX Runtime's sessions.

    Inputs that the package describes as images are given as 8-bit RGB pictures, see :func:`picture`; the others as
    float32.

    Args:
        path: an ``.mlpackage``.
        function: of a package with several; its default one otherwise.
        compute_units: what Core ML may use.

    Raises:
        ExportError: this is not macOS, or Core ML cannot load the package.
    """

    def __init__(self, path: Path, function: str | None = None, compute_units: ComputeUnits = "all") -> None:
        require_macos("running a package with Core ML")
        _check_package(path)
        self.path = path
        with quietly():
            import coremltools as ct

            try:
                units = ct.ComputeUnit[_UNITS[compute_units]]
                self._model = ct.models.MLModel(str(path), compute_units=units, function_name=function)
                self._model.get_compiled_model_path()  # raises where Core ML refused: loading itself only warns
                description = self._model.get_spec().description
            except Exception as error:  # coremltools raises Exception itself
                # A refusal's reason is kept until it is asked for a prediction.
                reason = getattr(getattr(self, "_model", None), "_framework_error", None) or error
                raise ExportError(f"{path}: Core ML cannot load it ({one_line(reason)})") from error
        self._images = image_inputs(description, function)

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Compute the named outputs, float32.

        Raises:
            ExportError: an input is missing, or not as the package wants it.
        """
        given = {
            name: picture(value) if name in self._images else np.asarray(value, np.float32)
            for name, value in inputs.items()
        }
        try:
            found = self._model.predict(given)
            return [np.asarray(found[name], np.float32) for name in outputs]
        except Exception as error:  # as above
            raise ExportError(f"{self.path}: Core ML cannot run it ({one_line(error)})") from error


def open_coreml_sessions(bundle: Bundle, compute_units: ComputeUnits = "all") -> dict[str, CoreMLSession]:
    """A session for each subgraph of a Core ML bundle, by name.

    Raises:
        BundleError: it is of another format.
        ExportError: this is not macOS, or Core ML cannot load a package.
    """
    if bundle.manifest.format != "coreml":
        raise BundleError(f"{bundle.folder}: a {bundle.manifest.format} bundle; Core ML runs those of `export coreml`")
    return {
        graph.name: CoreMLSession(bundle.path_of(graph), graph.function, compute_units)
        for graph in bundle.manifest.subgraphs
    }


def compile_package(path: Path, out: Path, *, overwrite: bool = False) -> Path:
    """Compile a package to what a device loads; this is what an app otherwise does at its first start.

    Args:
        path: an ``.mlpackage``.
        out: the compiled folder, named ``*.mlmodelc``; it appears whole or not at all.
        overwrite: replace an existing folder.

    Returns:
        ``out``.

    Raises:
        ExportError: this is not macOS, Core ML cannot compile the package, or ``out`` is named otherwise.
        GFNetError: ``out`` exists, or cannot be written.
    """
    require_macos("compiling a package")
    check_compiled_name(out)
    _check_package(path)
    with (
        atomic_folder(out, "compiled model", overwrite=overwrite, inputs=[path]) as folder,
        _compiled(path) as compiled,
    ):
        shutil.copytree(compiled, folder, dirs_exist_ok=True)
    return out


def check_compiled_name(out: Path) -> None:
    """Refuse a name that Core ML would not load a compiled model by.

    Raises:
        ExportError: it does not end in ``.mlmodelc``.
    """
    if out.suffix != _COMPILED:
        raise ExportError(f"{out}: the folder of a compiled model ends in {_COMPILED}; choose such a name")


def compute_plan(
    path: Path, function: str | None = None, compute_units: ComputeUnits = "all"
) -> tuple[PlannedOperation, ...]:
    """Where Core ML means to run each operation of a package; needs macOS 14.4.

    Constants are left out, operations of nested blocks are included.

    Args:
        path: an ``.mlpackage`` with an ML program.
        function: of a package with several; its default one otherwise.
        compute_units: what Core ML may use.

    Raises:
        ExportError: this is not macOS or too old a version, Core ML cannot compile the package, it is no ML program, or
            it has no such function.
    """
    require_macos("a compute plan")
    _check_package(path)
    with quietly():
        import coremltools as ct
        from coremltools.models.compute_plan import MLComputePlan

        default = ct.utils.load_spec(str(path)).description.defaultFunctionName or "main"
        with _compiled(path) as compiled:
            try:
                plan = MLComputePlan.load_from_path(str(compiled), ct.ComputeUnit[_UNITS[compute_units]])
                program = plan.model_structure.program
            except Exception as error:  # as above
                raise ExportError(f"{path}: no compute plan ({one_line(error)}); use macOS 14.4 or newer") from error
            if program is None:
                raise ExportError(f"{path}: is not an ML program, so it has no compute plan; convert it to one")
            wanted = function or default
            if wanted not in program.functions:
                raise ExportError(f"{path}: no function {wanted!r}; it has {', '.join(sorted(program.functions))}")
            return planned_operations(plan, program.functions[wanted].block)


def planned_operations(plan: Any, block: Any) -> tuple[PlannedOperation, ...]:
    """What a plan says of a block's operations.

    Args:
        plan: a coremltools ``MLComputePlan``.
        block: a coremltools ``MLModelStructureProgramBlock`` of it.
    """
    return tuple(_planned(plan, operation) for operation in _operations(block))


def shares_by_device(operations: Sequence[PlannedOperation]) -> tuple[DeviceShare, ...]:
    """How much of a plan is for each device, the largest part first."""
    total = sum(operation.cost or 0 for operation in operations)
    shares = []
    for device in sorted({operation.device for operation in operations}, key=str):
        here = [operation for operation in operations if operation.device == device]
        cost = sum(operation.cost or 0 for operation in here)
        shares.append(DeviceShare(device, len(here), len(here) / len(operations), cost / total if total else None))
    return tuple(sorted(shares, key=lambda share: (share.cost_share or 0, share.operations), reverse=True))


def picture(planes: np.ndarray) -> Image.Image:
    """A subgraph's input as an 8-bit RGB picture, as a camera gives it.

    Args:
        planes: float [1,3,H,W], pixels in 0 .. 255; halves are rounded to even, and what a bicubic resize made
            darker than black or brighter than white is clipped.

    Raises:
        ExportError: it has another shape, or NaN values.
    """
    planes = np.asarray(planes)
    if planes.ndim != 4 or planes.shape[:2] != (1, 3) or 0 in planes.shape:
        raise ExportError(f"an image input has the shape [1,3,height,width], not {list(planes.shape)}")
    if not np.isfinite(planes).all():
        raise ExportError("an image input has NaN values; give it pixels from 0 to 255")
    return Image.fromarray(np.rint(planes[0]).clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy())


def _check_package(path: Path) -> None:
    if not path.is_dir():
        raise ExportError(f"{path}: no such package folder")
    if path.suffix != ".mlpackage":
        raise ExportError(f"{path}: Core ML only reads packages named *.mlpackage; rename it")


@contextlib.contextmanager
def _compiled(path: Path) -> Iterator[Path]:
    """The compiled form of a package, in a temporary folder."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / f"{path.stem}{_COMPILED}"
        with quietly():
            from coremltools.models.utils import compile_model

            try:
                compile_model(str(path), str(target))
            except Exception as error:  # coremltools raises Exception itself
                raise ExportError(f"{path}: Core ML cannot compile it ({one_line(error)})") from error
        yield target


def _operations(block: Any) -> Iterator[Any]:
    """All operations of a block but constants, nested ones after the one that they are nested in."""
    for operation in block.operations:
        if operation.operator_name != "const":
            yield operation
        for inner in operation.blocks:
            yield from _operations(inner)


def _planned(plan: Any, operation: Any) -> PlannedOperation:
    usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
    cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
    return PlannedOperation(
        type=_OPSET.sub("", operation.operator_name),
        output=operation.outputs[0].name if operation.outputs else "",
        device=None if usage is None else _device(usage.preferred_compute_device),
        supported=() if usage is None else tuple(map(_device, usage.supported_compute_devices)),
        cost=None if cost is None else float(cost.weight),
    )


def _device(device: Any) -> str:
    """Known by the name of its class, whose constructor cannot be called off macOS."""
    name = type(device).__name__
    return _DEVICES.get(name, name)
