"""An ``.mlpackage`` on disk as an ML program: functions, operations, constants.

Read from the protobuf and the weight files as they are.  Format: ``MIL.proto`` and ``Model.proto`` of coremltools.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf.message import DecodeError

from gfnet.errors import MilError
from gfnet_export.mil.blobs import BlobFile
from gfnet_export.mil.models import OtherModelError, describe_model, shapes_of
from gfnet_export.mil.proto import Model_pb2
from gfnet_export.mil.values import Constant, TensorType, read_constant, read_type, shown_shape

_MOST_PROGRAM_BYTES = 256 * 1024**2
_WEIGHTS = "@model_path/"  # what names of weight files begin with: the folder of the program


@dataclass(frozen=True)
class Operation:
    """One line of a program.

    Attributes:
        type: what it computes, e.g. ``conv``.
        name: what the converter called it.
        inputs: by parameter: names of earlier results, or constants; several where the parameter is a tuple.
        attributes: constants that the operation brings along.
        outputs: what it gives: name and type.
        blocks: the operations of programs that are nested in it (loops, conditions).
    """

    type: str
    name: str
    inputs: Mapping[str, tuple[str | Constant, ...]]
    attributes: Mapping[str, Constant]
    outputs: tuple[tuple[str, TensorType], ...]
    blocks: tuple[tuple[Operation, ...], ...] = ()

    def describe(self) -> str:
        """What to call it in a message."""
        return f"{self.type} {self.name!r}"


@dataclass(frozen=True)
class Function:
    """One entry point of a program.

    Attributes:
        name: ``main`` unless there are several.
        opset: version of the operations, e.g. ``CoreML6`` for iOS 16.
        inputs: name to type.
        outputs: names of the results.
        pictures: names of the inputs that the package describes as pictures.
        flexible: inputs that take more than one shape, and which, in words.
        operations: in the order in which they run.
    """

    name: str
    opset: str
    inputs: Mapping[str, TensorType]
    outputs: tuple[str, ...]
    pictures: frozenset[str]
    flexible: Mapping[str, str]
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Package:
    """An ``.mlpackage``.

    Attributes:
        path: the folder.
        specification_version: 7 for iOS 16, 8 for 17, 9 for 18.
        functions: by name.
        default_function: the one that runs unless another is asked for.
    """

    path: Path
    specification_version: int
    functions: Mapping[str, Function]
    default_function: str

    def function(self, name: str | None = None) -> Function:
        """One of the functions, by default the default one.

        Raises:
            MilError: no function has that name.
        """
        name = name or self.default_function
        if name not in self.functions:
            raise MilError(f"{self.path}: no function {name!r}; it has {', '.join(sorted(self.functions))}")
        return self.functions[name]


def read_package(path: str | Path) -> Package:
    """Read a package that holds an ML program.

    Args:
        path: an ``.mlpackage``, or an ``.mlmodel`` that needs no other file.

    Raises:
        MilError: it is missing, damaged, or refers to files outside of itself.
        OtherModelError: it holds no ML program, but something else.
    """
    path = Path(path)
    model_path = path if path.is_file() else _model_path(path)
    if model_path.stat().st_size > _MOST_PROGRAM_BYTES:
        raise MilError(f"{model_path}: too large for a program; weights belong into their own file")
    model = Model_pb2.Model()
    try:
        model.ParseFromString(model_path.read_bytes())
    except DecodeError as error:
        raise MilError(f"{model_path}: not a Core ML model ({error}); copy the package again") from error
    if model.WhichOneof("Type") != "mlProgram":
        raise OtherModelError(path, describe_model(model))
    files: dict[str, BlobFile] = {}

    def blob_file(name: str) -> BlobFile:
        if name not in files:
            files[name] = BlobFile(_inside(model_path.parent, name.removeprefix(_WEIGHTS), path))
        return files[name]

    try:
        functions = {
            name: _read_function(name, message, _inputs_of(model.description, name), blob_file)
            for name, message in model.mlProgram.functions.items()
        }
    except MilError as error:
        raise MilError(f"{path}: {error}") from error
    if not functions:
        raise MilError(f"{path}: has no function; convert the network again")
    default = model.description.defaultFunctionName or ("main" if "main" in functions else min(functions))
    return Package(path, int(model.specificationVersion), functions, default)


def _model_path(package: Path) -> Path:
    """The file that a package's own list names as the model."""
    listing = package / "Manifest.json"
    if not package.is_dir():
        raise MilError(f"{package}: no such package folder")
    if (package / "coremldata.bin").exists():
        raise MilError(f"{package}: a compiled model; give the .mlpackage that it was compiled from")
    try:
        content = json.loads(listing.read_text(encoding="utf-8"))
        entry = content["itemInfoEntries"][content["rootModelIdentifier"]]["path"]
        found = _inside(package / "Data", str(entry), package)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise MilError(
            f"{listing}: cannot be read ({error or type(error).__name__}); copy the package again"
        ) from error
    if not found.is_file():
        raise MilError(f"{found}: named in the package's list, but missing; copy the package again")
    return found


def _inside(folder: Path, name: str, package: Path) -> Path:
    """A path below ``folder``.

    Raises:
        MilError: it leaves the package.
    """
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or "\0" in name or not parts.parts:
        raise MilError(f"{package}: refers to {name!r}, which is outside of it; do not use it")
    path = folder.joinpath(*parts.parts)
    if not path.resolve().is_relative_to(package.resolve()):
        raise MilError(f"{package}: {name!r} is a link that leads out of it; do not use it")
    return path


def image_inputs(description: Any, function: str | None = None) -> frozenset[str]:
    """Names of a model's inputs that are pictures.

    Args:
        description: the protobuf message ``ModelDescription``.
        function: of a model with several; its default one otherwise.
    """
    features = _inputs_of(description, function)
    return frozenset(feature.name for feature in features if feature.type.WhichOneof("Type") == "imageType")


def _inputs_of(description: Any, function: str | None) -> Any:
    """What a model says of the inputs of one of its functions, by default the default one."""
    for described in description.functions:
        if described.name == (function or description.defaultFunctionName):
            return described.input
    return description.input


def _read_function(name: str, message: Any, described: Any, blob_file: Callable[[str], BlobFile]) -> Function:
    if message.opset not in message.block_specializations:
        raise MilError(f"function {name!r} has no program for its opset {message.opset!r}")
    block = message.block_specializations[message.opset]
    inputs = {value.name: read_type(value.type) for value in message.inputs}
    shapes = {feature.name: shapes_of(feature.type) for feature in described}
    return Function(
        name=name,
        opset=message.opset,
        inputs=inputs,
        outputs=tuple(block.outputs),
        pictures=frozenset(feature.name for feature in described if feature.type.WhichOneof("Type") == "imageType"),
        flexible={
            name: shapes.get(name) or shown_shape(kind.shape) for name, kind in inputs.items() if None in kind.shape
        },
        operations=tuple(_read_operation(operation, blob_file) for operation in block.operations),
    )


def _read_operation(message: Any, blob_file: Callable[[str], BlobFile]) -> Operation:
    def constant(value: Any) -> Constant:
        try:
            return read_constant(value, blob_file)
        except MilError as error:
            raise MilError(f"{message.type}: {error}") from error

    attributes = {name: constant(value) for name, value in message.attributes.items()}
    called = attributes.pop("name", None)
    outputs = tuple((value.name, read_type(value.type)) for value in message.outputs)
    return Operation(
        type=message.type,
        name=str(called.value) if called else (outputs[0][0] if outputs else ""),
        inputs={
            name: tuple(
                binding.name if binding.WhichOneof("binding") == "name" else constant(binding.value)
                for binding in argument.arguments
            )
            for name, argument in message.inputs.items()
        },
        attributes=attributes,
        outputs=outputs,
        blocks=tuple(
            tuple(_read_operation(operation, blob_file) for operation in block.operations) for block in message.blocks
        ),
    )
