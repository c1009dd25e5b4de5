"""What an ML program holds, and what in it is known to keep a graph off the Neural Engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from gfnet_export.mil.ops import CONSTANT_OPS
from gfnet_export.mil.package import Function, Operation
from gfnet_export.mil.values import Constant, shown_shape

_LOOPS = ("while_loop", "cond", "lstm", "gru", "rnn")
_ADDRESSING = ("gather", "scatter", "non_zero", "topk", "sort")
_HARD_SWISH = ("sigmoid_hard", "thresholded_relu", "relu6")


@dataclass(frozen=True)
class Finding:
    """One thing that may cost the Neural Engine.

    Attributes:
        rule: short name.
        operation: where.
        reason: why it matters, and what to do.
    """

    rule: str
    operation: str
    reason: str


@dataclass(frozen=True)
class OpCount:
    """All operations of one type.

    Attributes:
        type: the operation.
        count: how many there are.
        dtypes: of their results.
        shapes: of their results, the commonest first.
        parameter_bytes: stored constants that they read.
    """

    type: str
    count: int
    dtypes: tuple[str, ...]
    shapes: tuple[str, ...]
    parameter_bytes: int


def count_operations(function: Function) -> list[OpCount]:
    """What a function consists of, the commonest operation first; constants are counted where they are read."""
    stored = {
        name: sum(value.stored_bytes for value in operation.attributes.values())
        for operation in _walk(function.operations)
        for name, _ in operation.outputs
    }
    groups: dict[str, list[Operation]] = {}
    for operation in computing(function):
        groups.setdefault(operation.type, []).append(operation)
    rows = []
    for kind, operations in groups.items():
        results = [result for operation in operations for _, result in operation.outputs]
        shapes = Counter(shown_shape(result.shape) for result in results)
        read = {name for operation in operations for names in operation.inputs.values() for name in names}
        rows.append(
            OpCount(
                type=kind,
                count=len(operations),
                dtypes=tuple(sorted({result.container or result.dtype for result in results})),
                shapes=tuple(shape for shape, _ in shapes.most_common()),
                parameter_bytes=sum(stored.get(name, 0) for name in read if isinstance(name, str)),
            )
        )
    return sorted(rows, key=lambda row: (-row.count, row.type))


def computing(function: Function) -> list[Operation]:
    """The operations that may run for an input, nested ones included and constants left out."""
    return [operation for operation in _walk(function.operations) if not operation.type.startswith(CONSTANT_OPS)]


def _walk(operations: Iterable[Operation]) -> Iterator[Operation]:
    for operation in operations:
        yield operation
        for block in operation.blocks:
            yield from _walk(block)


def lint(function: Function) -> list[Finding]:
    """What is known to move a graph, or a part of it, from the Neural Engine to GPU or CPU.

    Collected from what users reported; only ``MLComputePlan`` on a device tells what really runs where.
    """
    graph = _Graph.of(function)
    findings = [
        Finding(
            "flexible shapes",
            f"input {name!r}",
            f"it takes {shapes}, but the Neural Engine wants fixed shapes: export with a fixed one",
        )
        for name, shapes in function.flexible.items()
    ]
    for operation in computing(function):
        for rule in _RULES:
            findings += rule(operation, graph)
    return findings + list(_float32_islands(function)) + list(_beyond_float16(function))


@dataclass(frozen=True)
class _Graph:
    """Who reads a result, and which results are constants, by name."""

    readers: Mapping[str, list[Operation]]
    constants: frozenset[str]

    @classmethod
    def of(cls, function: Function) -> _Graph:
        readers: dict[str, list[Operation]] = {}
        for operation in _walk(function.operations):
            for names in operation.inputs.values():
                for name in names:
                    if isinstance(name, str):
                        readers.setdefault(name, []).append(operation)
        constants = (operation for operation in _walk(function.operations) if operation.type.startswith(CONSTANT_OPS))
        return cls(readers, frozenset(name for operation in constants for name, _ in operation.outputs))


_Rule = Callable[[Operation, _Graph], Iterator[Finding]]


def _control_flow(operation: Operation, _graph: _Graph) -> Iterator[Finding]:
    if operation.blocks or operation.type in _LOOPS:
        yield Finding("control flow", operation.describe(), "loops and conditions run on the CPU: write the cell out")


def _addressing(operation: Operation, _graph: _Graph) -> Iterator[Finding]:
    if operation.type.startswith(_ADDRESSING):
        reason = "reads or writes at computed places, which the Neural Engine cannot: split, slice or mask instead"
        yield Finding("gather or scatter", operation.describe(), reason)


def _dynamic_slice(operation: Operation, graph: _Graph) -> Iterator[Finding]:
    if not operation.type.startswith("slice"):
        return
    steering = [name for key, names in operation.inputs.items() if key not in ("x", "update") for name in names]
    computed = [name for name in steering if isinstance(name, str) and name not in graph.constants]
    if computed:
        reason = f"begins or ends at the computed {computed[0]!r}: crop outside of the model"
        yield Finding("dynamic slice", operation.describe(), reason)


def _narrow_matmul(operation: Operation, graph: _Graph) -> Iterator[Finding]:
    if operation.type not in ("linear", "matmul"):
        return
    for name, kind in operation.outputs:
        following = {reader.type for reader in graph.readers.get(name, [])}
        if len(kind.shape) == 2 and following & set(_HARD_SWISH):
            reason = "a product of rank 2 before hard-swish was seen to give wrong values: use a 1x1 convolution"
            yield Finding("matmul before hard-swish", operation.describe(), reason)


_RULES: tuple[_Rule, ...] = (_control_flow, _addressing, _dynamic_slice, _narrow_matmul)


def _float32_islands(function: Function) -> Iterator[Finding]:
    """Operations in float32 amid float16: the Neural Engine computes in float16 only."""
    kinds: dict[str, list[Operation]] = {"float16": [], "float32": []}
    for operation in computing(function):
        if operation.type != "cast":
            for _, kind in operation.outputs[:1]:
                kinds.get(kind.dtype, []).append(operation)
    narrow, wide = kinds["float16"], kinds["float32"]
    if not narrow:
        if wide:
            reason = "the Neural Engine computes in float16: a float32 program runs on GPU or CPU"
            yield Finding("float32 program", f"all {len(wide)} operations", reason)
        return
    for operation in wide:
        reason = "float32 amid float16: the graph leaves the Neural Engine here, and comes back after it"
        yield Finding("float32 island", operation.describe(), reason)


def _beyond_float16(function: Function) -> Iterator[Finding]:
    """Constants that were too large for float16 when they were rounded to it."""
    for operation in _walk(function.operations):
        for constant in (*operation.attributes.values(), *_bound_constants(operation)):
            kind = constant.type
            if kind.dtype == "float16" and not kind.container and np.isinf(constant.value).any():
                reason = "a constant in float16 is infinite: float16 ends at 65504; what is computed with it may be NaN"
                yield Finding("beyond float16", operation.describe(), reason)
                break


def _bound_constants(operation: Operation) -> Iterator[Constant]:
    return (bound for bindings in operation.inputs.values() for bound in bindings if isinstance(bound, Constant))
