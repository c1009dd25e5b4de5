"""Running an ML program, operation by operation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gfnet.errors import MilError
from gfnet_export.mil.ops import CONSTANT_OPS, OPS, as_tensor
from gfnet_export.mil.package import Function, Operation
from gfnet_export.mil.values import Constant, TensorType

Rounding = Literal["declared", "none"]
Watch = Callable[[str, Tensor], None]
"""Is shown every input and every operation's results: name, and value as the operations after it get it."""

LARGEST_FLOAT16 = 65504.0

_KINDS = {"float16": "f", "float32": "f", "float64": "f", "bool": "b", "string": "s"}


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
        MilError: it has an operation that is not known here, or constants that contradict each other.
    """

    def __init__(self, function: Function, *, rounding: Rounding = "declared") -> None:
        self.function, self.rounding = function, rounding
        unknown = sorted({operation.type for operation in function.operations} - {*OPS, "const"})
        if unknown:
            raise MilError(f"function {function.name!r}: no operation {unknown[0]!r} here; known are {', '.join(OPS)}")
        self.overflow: Overflow | None = None
        self._constants: dict[str, Any] = {}
        self._operations = []
        with torch.no_grad():
            for operation in function.operations:
                if operation.type.startswith(CONSTANT_OPS):
                    self._run(operation, self._constants)
                else:
                    self._operations.append(operation)

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, np.ndarray], watch: Watch | None = None) -> dict[str, np.ndarray]:
        """Run on one set of inputs.

        Args:
            inputs: by name, of the declared shapes.
            watch: sees what lies between inputs and outputs, in the order in which it is computed; not constants.

        Returns:
            The function's outputs by name: floating point as float32.

        Raises:
            MilError: an input is missing or of another shape; an operation's result is not what the program declares.
        """
        given = self._checked_inputs(inputs)
        results = {**self._constants, **given}
        if watch is not None:
            for name, value in given.items():
                watch(name, value)
        for operation in self._operations:
            self._run(operation, results)
            if watch is not None:
                for name, _ in operation.outputs:
                    watch(name, results[name])
        missing = [name for name in self.function.outputs if not isinstance(results.get(name), Tensor)]
        if missing:
            raise MilError(f"function {self.function.name!r}: its output {missing[0]!r} is never computed")
        return {name: results[name].numpy() for name in self.function.outputs}

    def _checked_inputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        wanted = self.function.inputs
        for name in (*wanted, *inputs):
            if name not in wanted or name not in inputs:
                raise MilError(f"inputs are {', '.join(inputs) or 'none'}, but wanted are {', '.join(wanted)}")
        tensors = {}
        for name, kind in wanted.items():
            value = np.asarray(inputs[name])
            if value.shape != kind.shape:
                raise MilError(f"input {name!r} is {list(value.shape)}, but {kind} is wanted")
            if value.dtype.kind not in "fiub":
                raise MilError(f"input {name!r} holds {value.dtype}, not numbers")
            tensors[name] = as_tensor(value.astype(np.float32))
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
            arguments[name] = bound if name == "values" else bound[0]
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
        if isinstance(value, str) or kind.dtype == "string":
            if not isinstance(value, str) or kind.dtype != "string":
                raise MilError(f"gives text, but {kind} is declared, or the other way round")
            return value
        if tuple(value.shape) != kind.shape:
            raise MilError(f"gives shape {list(value.shape)}, but {kind} is declared")
        found = "b" if value.dtype == torch.bool else "f" if value.is_floating_point() else "i"
        if found != _KINDS.get(kind.dtype, "i"):
            raise MilError(f"gives {value.dtype}, but {kind} is declared")
        return self._rounded(value, kind)

    def _rounded(self, value: Tensor, kind: TensorType) -> Tensor:
        return value.half().float() if kind.dtype == "float16" and self.rounding == "declared" else value

    def _watch_range(self, kind: str, name: str, value: Any, declared: TensorType, arguments: Iterable[Any]) -> None:
        """Keep the first result that float16 cannot hold; what is infinite already (a mask, say) counts for nothing."""
        if self.overflow is not None or declared.dtype != "float16" or kind == "const" or not value.numel():
            return
        low, high = (float(end) for end in torch.aminmax(value))
        if -LARGEST_FLOAT16 <= low and high <= LARGEST_FLOAT16:
            return
        if all(_is_finite(argument) for argument in arguments):
            self.overflow = Overflow(kind, name, max(-low, high))


def _is_finite(argument: Any) -> bool:
    """Whether a parameter, or each of several, is within any range."""
    if isinstance(argument, Tensor):
        return not argument.is_floating_point() or bool(argument.isfinite().all())
    return isinstance(argument, str) or all(_is_finite(part) for part in argument)


def _value(constant: Constant) -> Any:
    return constant.value if isinstance(constant.value, str) else as_tensor(constant.value)
