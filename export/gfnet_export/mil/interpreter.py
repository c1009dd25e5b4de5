"""Running an ML program, operation by operation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gfnet.errors import MilError
from gfnet_export.choices import Rounding
from gfnet_export.mil.ops import CONSTANT_OPS, LISTS, OPS, as_tensor
from gfnet_export.mil.package import Function, Operation
from gfnet_export.mil.values import Constant, TensorType

Watch = Callable[[str, Tensor], None]
"""Is shown every input and every operation's results: name, and value as the operations after it get it."""

LARGEST_FLOAT16 = 65504.0

_MOST_CONSTANTS = 1 << 29  # elements; 2 GB as float32

# As torch computes with them; others keep the type in which they come.
_INTEGERS = {
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
}
_FLOATS = ("float16", "float32", "float64")
_KINDS = {**dict.fromkeys(_FLOATS, "f"), "bool": "b", "string": "s"}


@dataclass(frozen=True)
class Overflow:
    """A result that left the range of float16 though everything it was computed from lay within.

    Attributes:
        type: of the operation, e.g. ``conv``; ``input`` where an input itself is too large.
        name: of the result.
        value: the largest magnitude before rounding; may be infinite, or NaN.
    """

    type: str
    name: str
    value: float

    def __str__(self) -> str:
        limit = f"float16 ends at {LARGEST_FLOAT16:.0f}"
        if math.isnan(self.value):
            return f"{self.type} {self.name!r} gives NaN from finite values in float16"
        return f"{self.type} {self.name!r} reaches {self.value:.6g}, but {limit}: it becomes infinite there"


class Interpreter:
    """One function of an ML program, ready to run.

    Everything is computed in float32.  Where the program declares a result float16 it is then rounded to that, as a
    processor with wider accumulators would; so this says what the program says, not how a Neural Engine adds up.

    Args:
        function: of a package; see :func:`gfnet_export.mil.package.read_package`.
        rounding: ``declared``: results are rounded as the program says; ``none``: never.

    Attributes:
        overflow: the first float16 result that left the range of float16 in any run; ``None`` until then.

    Raises:
        MilError: it cannot be run here (see :func:`obstacles_of`), or has constants that contradict each other.
    """

    def __init__(self, function: Function, *, rounding: Rounding = "declared") -> None:
        self.function, self.rounding = function, rounding
        obstacles = obstacles_of(function)
        if obstacles:
            raise MilError(f"function {function.name!r} cannot be run here: {'; '.join(obstacles)}")
        _check_constants(function)
        self.overflow: Overflow | None = None
        self._constants: dict[str, Any] = {}
        self._operations = []
        with torch.no_grad():
            for operation in function.operations:
                if operation.type.startswith(CONSTANT_OPS):
                    self._run(operation, self._constants)
                else:
                    self._operations.append(operation)
        self._spent = _last_readings(self._operations, {*function.outputs, *self._constants})

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, np.ndarray], watch: Watch | None = None) -> dict[str, np.ndarray]:
        """Run on one set of inputs.

        Args:
            inputs: by name, of the declared shapes.
            watch: sees what lies between inputs and outputs, in the order in which it is computed; not constants.

        Returns:
            The function's outputs by name: floating point as float32, integers of their declared type.

        Raises:
            MilError: an input is missing, of another shape, or holds what its type cannot; an operation's result is not
                what the program declares.
        """
        given = self._checked_inputs(inputs)
        results = {**self._constants, **given}
        if watch is not None:
            for name, value in given.items():
                watch(name, value)
        for operation, spent in zip(self._operations, self._spent, strict=True):
            self._run(operation, results)
            if watch is not None:
                for name, _ in operation.outputs:
                    watch(name, results[name])
            for name in spent:
                results.pop(name, None)
        missing = [name for name in self.function.outputs if not isinstance(results.get(name), Tensor)]
        if missing:
            raise MilError(f"function {self.function.name!r}: its output {missing[0]!r} is never computed")
        return {name: results[name].numpy() for name in self.function.outputs}

    def _checked_inputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        wanted = self.function.inputs
        for name in (*wanted, *inputs):
            if name not in wanted or name not in inputs:
                raise MilError(f"inputs given: {', '.join(inputs) or 'none'}; the function takes {', '.join(wanted)}")
        tensors = {}
        for name, kind in wanted.items():
            value = np.asarray(inputs[name])
            if value.shape != kind.shape:
                raise MilError(f"input {name!r} has the shape {list(value.shape)}, but must be {kind}")
            if value.dtype.kind not in "fiub":
                raise MilError(f"input {name!r} holds {value.dtype}, not numbers")
            tensors[name] = _given(name, value, kind)
            self._watch_range("input", name, tensors[name], kind, ())
            tensors[name] = self._rounded(tensors[name], kind)
        return tensors

    def _run(self, operation: Operation, results: dict[str, Any]) -> None:
        """Add an operation's results to ``results``."""
        try:
            for _, kind in operation.outputs:
                kind.elements  # noqa: B018  refuses what is flexible or too large
            arguments = self._arguments(operation, results)
            values = self._compute(operation, arguments)
            if len(values) != len(operation.outputs):
                raise MilError(f"gives {len(values)} results, but {len(operation.outputs)} are declared")
            for value, (name, kind) in zip(values, operation.outputs, strict=True):
                results[name] = self._declared(value, kind)
                self._watch_range(operation.type, name, value, kind, arguments.values())
        except MilError as error:
            raise MilError(f"{operation.describe()}: {error}") from error
        except (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise MilError(f"{operation.describe()}: cannot be computed ({reason[:200]})") from error

    def _arguments(self, operation: Operation, results: Mapping[str, Any]) -> dict[str, Any]:
        arguments: dict[str, Any] = {name: _value(value) for name, value in operation.attributes.items()}
        for name, bindings in operation.inputs.items():
            bound = [self._bound(binding, results) for binding in bindings]
            arguments[name] = bound if name in LISTS else bound[0]
        return arguments

    @staticmethod
    def _compute(operation: Operation, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        if operation.type == "const":
            if "val" not in arguments:
                raise MilError("has no value")
            return (arguments["val"],)
        given = OPS[operation.type](**arguments)
        return given if isinstance(given, tuple) else (given,)

    @staticmethod
    def _bound(binding: str | Constant, results: Mapping[str, Any]) -> Any:
        if isinstance(binding, Constant):
            return _value(binding)
        if binding not in results:
            raise MilError(f"its input {binding!r} is not computed before")
        return results[binding]

    def _declared(self, value: Any, kind: TensorType) -> Any:
        """``value``, which must be what was declared, rounded to it."""
        if isinstance(value, str) or kind.dtype == "string" or kind.container:
            if not isinstance(value, str) or kind.dtype != "string" or kind.container:
                raise MilError(f"gives text where {kind} is declared, or numbers where text is")
            return value
        if tuple(value.shape) != kind.shape:
            raise MilError(f"gives shape {list(value.shape)}, but {kind} is declared")
        found = "b" if value.dtype == torch.bool else "f" if value.is_floating_point() else "i"
        if found != _KINDS.get(kind.dtype, "i"):
            raise MilError(f"gives {value.dtype}, but {kind} is declared")
        return self._rounded(value, kind)

    def _rounded(self, value: Tensor, kind: TensorType) -> Tensor:
        if kind.dtype == "float16" and self.rounding == "declared":
            return value.half().float()
        return value.to(_INTEGERS.get(kind.dtype, value.dtype))

    def _watch_range(self, kind: str, name: str, value: Any, declared: TensorType, arguments: Iterable[Any]) -> None:
        """Keep the first result that float16 cannot hold; what is infinite already (a mask, say) counts for nothing."""
        if self.overflow is not None or declared.dtype != "float16" or kind == "const" or not value.numel():
            return
        low, high = (float(end) for end in torch.aminmax(value))
        if low >= -LARGEST_FLOAT16 and high <= LARGEST_FLOAT16:
            return
        if all(_is_finite(argument) for argument in arguments):
            self.overflow = Overflow(kind, name, max(-low, high))


def obstacles_of(function: Function) -> list[str]:
    """Why a function cannot be run here, in words; nothing if it can."""
    found = [
        f"input {name!r} takes more than one shape ({shapes}), and only fixed shapes run here: convert it with one"
        for name, shapes in function.flexible.items()
    ]
    states = [name for name, kind in function.inputs.items() if kind.container == "state"]
    if states:
        found.append(f"it keeps {', '.join(map(repr, states))} from one call to the next (a state)")
    unsized = [] if found else [operation for operation in function.operations if _is_unsized(operation)]
    if unsized:
        which = f"{unsized[0].type!r}" + (f" and {len(unsized) - 1} more" if len(unsized) > 1 else "")
        found.append(f"the shape of what {which} gives is known only when it runs")
    counts = Counter(operation.type for operation in function.operations if operation.type not in (*OPS, "const"))
    if counts.pop("classify", 0):
        found.append(
            "it is a classifier, whose outputs are a class label and a dictionary of probabilities: convert it without "
            "classifier_config"
        )
    if counts:
        shown = [f"{name!r} ({count} time{'s' if count > 1 else ''})" for name, count in counts.most_common(5)]
        more = f" and {len(counts) - 5} more" if len(counts) > 5 else ""
        found.append(f"no operation {', '.join(shown)}{more} here (`gfnet mil ops --known` lists those that there are)")
    return found


def _is_unsized(operation: Operation) -> bool:
    return any(None in kind.shape for _, kind in operation.outputs)


def _check_constants(function: Function) -> None:
    """Refuse more constants than any phone's network has: a damaged file can name the same weights a thousand times.

    Raises:
        MilError: there are too many.
    """
    constant = [operation for operation in function.operations if operation.type.startswith(CONSTANT_OPS)]
    try:
        count = sum(kind.elements for operation in constant for _, kind in operation.outputs if not kind.container)
    except MilError as error:
        raise MilError(f"function {function.name!r}: {error}") from error
    if count > _MOST_CONSTANTS:
        raise MilError(f"function {function.name!r} has {count} constants, more than any network here")


def _last_readings(operations: list[Operation], kept: set[str]) -> list[list[str]]:
    """For each operation the results that are not read after it, and need not be kept."""
    last: dict[str, int] = {}
    for place, operation in enumerate(operations):
        for name, _ in operation.outputs:
            last[name] = place
        for bindings in operation.inputs.values():
            last |= {name: place for name in bindings if isinstance(name, str)}
    spent: list[list[str]] = [[] for _ in operations]
    for name, place in last.items():
        if name not in kept:
            spent[place].append(name)
    return spent


def _given(name: str, value: np.ndarray, kind: TensorType) -> Tensor:
    """An input of the declared type.

    Raises:
        MilError: it holds what that type cannot.
    """
    if kind.dtype in _FLOATS:
        with np.errstate(over="ignore"):
            return as_tensor(value.astype(np.float32))
    if kind.dtype == "bool":
        low, high = 0, 1
    elif kind.dtype.startswith(("int", "uint")) and kind.dtype in np.sctypeDict:
        limits = np.iinfo(kind.dtype)
        low, high = int(limits.min), int(limits.max)
    else:
        raise MilError(f"input {name!r} is {kind}, which is not supported here")
    if not ((value == np.rint(value)) & (value >= low) & (value <= high)).all():
        raise MilError(f"input {name!r} is {kind}; give it whole numbers in {low} .. {high}")
    return as_tensor(value.astype(kind.dtype))


def _is_finite(argument: Any) -> bool:
    """Whether a parameter, or each of several, is within any range."""
    if isinstance(argument, Tensor):
        return not argument.is_floating_point() or bool(argument.isfinite().all())
    return isinstance(argument, str) or all(_is_finite(part) for part in argument)


def _value(constant: Constant) -> Any:
    return as_tensor(constant.value) if isinstance(constant.value, np.ndarray) else constant.value
