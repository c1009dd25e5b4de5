"""Operations on each element by itself, and on pairs of elements."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gfnet_export.mil.ops.registry import OPS, along, broadcast, number, op, single

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": lambda x: x,
    "logical_not": torch.logical_not,
    "relu": torch.relu,
    "relu6": F.relu6,
    "round": torch.round,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": F.silu,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}
# What ``epsilon`` is added to the argument of, and its default.
_WITH_EPSILON: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "inverse": (torch.reciprocal, 1e-4),
    "log": (torch.log, 1e-45),
    "rsqrt": (torch.rsqrt, 1e-12),
}
_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "sub": torch.sub,
}
_CASTS = {
    "fp16": torch.float32,  # the interpreter rounds
    "fp32": torch.float32,
    "bool": torch.bool,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.int32,
}


def _unary(compute: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def apply(x: Tensor) -> Tensor:
        found = compute(x)
        # Integers stay integers.
        return found if found.dtype == torch.bool or x.is_floating_point() else found.to(x.dtype)

    return apply


def _with_epsilon(compute: Callable[[Tensor], Tensor], default: float) -> Callable[..., Tensor]:
    return lambda x, epsilon=None: compute(x + number(epsilon, default))


def _binary(compute: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def apply(x: Tensor, y: Tensor) -> Tensor:
        broadcast(x, y)
        return compute(x, y)

    return apply


OPS |= {name: _unary(compute) for name, compute in _UNARY.items()}
OPS |= {name: _with_epsilon(compute, default) for name, (compute, default) in _WITH_EPSILON.items()}
OPS |= {name: _binary(compute) for name, compute in _BINARY.items()}


@op
def _real_div(x: Tensor, y: Tensor) -> Tensor:
    """Of integers, the integer without its fraction."""
    broadcast(x, y)
    return torch.div(x, y, rounding_mode=None if x.is_floating_point() or y.is_floating_point() else "trunc")


@op
def _pow(x: Tensor, y: Tensor) -> Tensor:
    broadcast(x, y)
    if x.is_floating_point() or y.is_floating_point():
        return torch.pow(x, y)
    return torch.pow(x.double(), y.double()).to(x.dtype)  # torch has no negative powers of integers


@op
def _select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    broadcast(cond, a, b)
    return torch.where(cond.bool(), a, b)


@op
def _cast(x: Tensor, dtype: str) -> Tensor:
    return x.to(_CASTS[dtype])


@op
def _clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, single(alpha, x)), single(beta, x))


@op
def _threshold(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.maximum(x, single(alpha, x))


@op
def _clamped_relu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.minimum(_leaky_relu(x, alpha), single(beta, x))


@op
def _elu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, single(alpha, x) * torch.expm1(x.clamp(max=0)))


@op
def _gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


@op
def _leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, single(alpha, x) * x)


@op
def _linear_activation(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return single(alpha, x) * x + single(beta, x)


@op
def _prelu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, along(alpha, x, 1) * x)


@op
def _scaled_tanh(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return single(alpha, x) * torch.tanh(single(beta, x) * x)


@op
def _sigmoid_hard(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return _linear_activation(x, alpha, beta).clamp(0, 1)


@op
def _softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return along(alpha, x, 1) * F.softplus(along(beta, x, 1) * x)


@op
def _thresholded_relu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= single(alpha, x), x, torch.zeros(()))
