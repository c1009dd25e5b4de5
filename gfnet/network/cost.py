"""What a step costs, in multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gfnet.network.model import GFNet


def cumulative_macs(model: GFNet) -> tuple[int, ...]:
    """Multiply-adds per image of sequences of 1 .. T steps, in that order.

    Convolutions, linear layers and GRU matrix products count; biases, norms, activations, pooling,
    resizing and cropping do not (``torch.utils.flop_counter``, halved).
    """
    config = model.config
    totals: list[int] = []
    with _counting(model) as counter:
        blank = _blank(model, config.patch_size)
        _, state = model.glance(blank)
        totals.append(counter.get_total_flops() // 2)
        for _ in range(1, config.steps):
            _, state = model.propose(state)
            _, state = model.focus(blank, state)
            totals.append(counter.get_total_flops() // 2)
    return tuple(totals)


def encoder_macs(model: GFNet, size: int) -> int:
    """Multiply-adds of the local encoder and its own head on one image of ``size`` pixels a side."""
    with _counting(model) as counter:
        _, feature = model.local_encoder(_blank(model, size))
        model.local_encoder.classify(feature)
    return counter.get_total_flops() // 2


@contextmanager
def _counting(model: GFNet) -> Iterator[FlopCounterMode]:
    """Count what ``model`` does in eval mode without gradients, then give it its mode back."""
    was_training = model.training
    # The counter follows gradients' way back, and fails on a parameter that a model hands on as an input.
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval().requires_grad_(False)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        model.train(was_training)
        for parameter in learning:
            parameter.requires_grad_(True)


def _blank(model: GFNet, size: int) -> Tensor:
    return torch.zeros(1, 3, size, size, device=model.device)
