"""Operations that shift and scale by means, variances or norms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gfnet_export.mil.ops.registry import along, axes_of, number, op


@op
def _batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | None = None,
) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, eps=number(epsilon, 1e-5))


@op
def _instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Tensor | None = None
) -> Tensor:
    normal = _standardised(x, list(range(2, x.dim())), number(epsilon, 1e-5))
    normal = normal if gamma is None else normal * along(gamma, x, 1)
    return normal if beta is None else normal + along(beta, x, 1)


@op
def _layer_norm(
    x: Tensor,
    axes: Tensor | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | None = None,
) -> Tensor:
    dims = axes_of(axes, x.dim())
    normal = _standardised(x, dims, number(epsilon, 1e-5))
    shape = [size if dim in dims else 1 for dim, size in enumerate(x.shape)]
    normal = normal if gamma is None else normal * gamma.reshape(shape)
    return normal if beta is None else normal + beta.reshape(shape)


@op
def _l2_norm(x: Tensor, epsilon: Tensor | None = None) -> Tensor:
    if x.dim() < 3:
        raise ValueError("it wants at least three dimensions")
    return x / (x.square().sum((-3, -2, -1), keepdim=True) + number(epsilon, 1e-6)).sqrt()


@op
def _local_response_norm(
    x: Tensor, size: Tensor, alpha: Tensor | None = None, beta: Tensor | None = None, k: Tensor | None = None
) -> Tensor:
    # A window wider than all channels sees no more than those.
    if not 1 <= int(size) <= 2 * x.shape[1]:
        raise ValueError(f"a window of {int(size)} does not fit {x.shape[1]} channels")
    return F.local_response_norm(x, int(size), number(alpha, 1e-4), number(beta, 0.75), number(k, 1.0))


def _standardised(x: Tensor, dims: list[int], epsilon: float) -> Tensor:
    """``x`` with mean 0 and variance 1 over ``dims``."""
    centred = x - x.mean(dims, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(dims, keepdim=True) + epsilon)
