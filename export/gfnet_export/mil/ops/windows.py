"""Operations that slide a window over a picture: convolutions and poolings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gfnet_export.mil.ops.registry import bounded, flag, ints, op


@op
def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | None = None,
) -> Tensor:
    window = _Window(x, weight.shape[2:], strides, dilations, pad_type, pad)
    window.check(channels=weight.shape[0])
    apply = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(window.kernel)]
    return apply(
        window.pad(x),
        weight,
        bias,
        stride=window.strides,
        dilation=window.dilations,
        groups=1 if groups is None else int(groups),
    )


@op
def _conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Tensor | None = None,
    output_shape: Tensor | None = None,
    pad_type: str = "valid",
    strides: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | None = None,
) -> Tensor:
    """Everything that the kernel reaches, of which padding is cut off and to which ``output_shape`` may add zeros."""
    parts = 1 if groups is None else int(groups)
    window = _Window(x, weight.shape[2:], strides, dilations, "valid" if pad_type != "custom" else "custom", pad)
    reached = [
        (size - 1) * stride + (kernel - 1) * dilation + 1
        for size, kernel, stride, dilation in zip(
            window.sizes, window.kernel, window.strides, window.dilations, strict=True
        )
    ]
    bounded([x.shape[0], weight.shape[1] * parts, *reached])
    apply = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[len(window.kernel)]
    found = apply(x, weight, None, stride=window.strides, dilation=window.dilations, groups=parts)
    if output_shape is not None:
        wanted = ints(output_shape)[2:]
    elif pad_type in ("same", "same_lower"):
        wanted = [size * stride for size, stride in zip(window.sizes, window.strides, strict=True)]
    else:
        wanted = [size - sum(pair) for size, pair in zip(reached, window.pads, strict=True)]
    bounded([x.shape[0], weight.shape[1] * parts, *wanted])
    for dim, (size, count, pair) in enumerate(zip(reached, wanted, window.pads, strict=True), start=2):
        spare = max(size - count, 0)
        first = pair[0] if pad_type == "custom" else (spare + (pad_type == "same_lower")) // 2
        found = found.narrow(dim, first, min(count, size - first))
        if count > found.shape[dim]:
            found = F.pad(found, [0] * (2 * (found.dim() - 1 - dim)) + [0, count - found.shape[dim]])
    return found if bias is None else found + bias.reshape([-1] + [1] * len(window.kernel))


@op
def _avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    exclude_padding_from_average: Tensor | None = None,
    ceil_mode: Tensor | None = None,
) -> Tensor:
    """A window that lies behind picture and padding sees nothing: 0."""
    window = _Window(x, ints(kernel_sizes), strides, None, pad_type, pad, ceil_mode)
    window.check(channels=x.shape[1])
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(window.kernel)]
    means = pool(window.pad(x), window.kernel, window.strides)
    counted = 0.0 if flag(exclude_padding_from_average) else 1.0
    shares = pool(window.pad(torch.ones_like(x[:1, :1]), counted), window.kernel, window.strides)
    return means / shares.masked_fill(shares == 0, 1.0)


@op
def _l2_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    ceil_mode: Tensor | None = None,
) -> Tensor:
    window = _Window(x, ints(kernel_sizes), strides, None, pad_type, pad, ceil_mode)
    window.check(channels=x.shape[1])
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(window.kernel)]
    return (pool(window.pad(x.square()), window.kernel, window.strides) * math.prod(window.kernel)).sqrt()


@op
def _max_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    ceil_mode: Tensor | None = None,
) -> Tensor:
    """A window that lies behind picture and padding sees nothing: minus infinity."""
    window = _Window(x, ints(kernel_sizes), strides, None, pad_type, pad, ceil_mode)
    window.check(channels=x.shape[1])
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(window.kernel)]
    return pool(window.pad(x, -math.inf, -math.inf), window.kernel, window.strides)


class _Window:
    """Kernel, strides and padding of a convolution or a pooling.

    Attributes:
        kernel: side lengths.
        strides: likewise.
        dilations: likewise.
        pads: before and after, for each dimension.
    """

    def __init__(
        self,
        x: Tensor,
        kernel: Sequence[int],
        strides: Tensor | None,
        dilations: Tensor | None,
        pad_type: str,
        pad: Tensor | None,
        ceil_mode: Tensor | None = None,
    ) -> None:
        self.sizes, self.kernel = list(x.shape[2:]), list(kernel)
        self.strides = [1] * len(self.kernel) if strides is None else ints(strides)
        self.dilations = [1] * len(self.kernel) if dilations is None else ints(dilations)
        if {len(self.sizes), len(self.strides), len(self.dilations)} != {len(self.kernel)}:
            raise ValueError("kernel, strides and dilations are not of the input's dimensions")
        if min(*self.kernel, *self.strides, *self.dilations) < 1:
            raise ValueError("kernel, strides and dilations must be positive")
        self.pads = self._pads(pad_type, pad)
        if min(map(min, self.pads)) < 0:
            raise ValueError("padding must not be negative")
        self.beyond = self._beyond() if flag(ceil_mode) else [0] * len(self.kernel)

    def pad(self, x: Tensor, value: float = 0.0, beyond: float = 0.0) -> Tensor:
        """``x`` with ``value`` around it and, where the last windows reach further, ``beyond`` behind that."""
        # torch wants the last dimension first.
        padded = F.pad(x, [size for pair in reversed(self.pads) for size in pair], value=value)
        return F.pad(padded, [size for extra in reversed(self.beyond) for size in (0, extra)], value=beyond)

    def check(self, channels: int) -> None:
        """Refuse what is too large."""
        padded = [
            size + sum(pair) + extra for size, pair, extra in zip(self.sizes, self.pads, self.beyond, strict=True)
        ]
        bounded([max(channels, 1), *padded])

    def _beyond(self) -> list[int]:
        """How far windows reach behind the padding when their number is rounded up.

        As coremltools declares it: a last window that begins behind the picture is dropped only where there is padding.
        """
        extra = []
        for size, pair, kernel, stride in zip(self.sizes, self.pads, self.kernel, self.strides, strict=True):
            windows = math.ceil((size + sum(pair) - kernel) / stride) + 1
            if sum(pair) and (windows - 1) * stride >= size + sum(pair) / 2:
                windows -= 1
            extra.append(max((windows - 1) * stride + kernel - size - sum(pair), 0))
        return extra

    def _pads(self, pad_type: str, pad: Tensor | None) -> list[tuple[int, int]]:
        if pad_type == "valid":
            return [(0, 0)] * len(self.kernel)
        if pad_type == "custom":
            given = ints(pad) if pad is not None else []
            if len(given) != 2 * len(self.kernel):
                raise ValueError("custom padding needs two numbers for each dimension")
            return list(zip(given[::2], given[1::2], strict=True))
        if pad_type not in ("same", "same_lower"):
            raise ValueError(f"padding {pad_type!r} is not known here")
        totals = [
            max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            for size, kernel, stride, dilation in zip(
                self.sizes, self.kernel, self.strides, self.dilations, strict=True
            )
        ]
        less_first = [(total // 2, total - total // 2) for total in totals]
        return less_first if pad_type == "same" else [(after, before) for before, after in less_first]
