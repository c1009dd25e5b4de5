"""What a step costs, in multiply-adds."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from gfnet.model import GFNet


def cumulative_macs(model: GFNet) -> tuple[int, ...]:
    """Multiply-adds per image of sequences of 1 .. T steps, in that order.

    Convolutions, linear layers and GRU matrix products count; biases, norms, activations, pooling,
    resizing and cropping do not (``torch.utils.flop_counter``, halved).
    """
    config = model.config
    blank = torch.zeros(1, 3, config.patch_size, config.patch_size, device=model.device)
    was_training = model.training
    model.eval()
    totals: list[int] = []
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _, state = model.glance(blank)
        totals.append(counter.get_total_flops() // 2)
        for _ in range(1, config.steps):
            _, state = model.propose(state)
            _, state = model.focus(blank, state)
            totals.append(counter.get_total_flops() // 2)
    model.train(was_training)
    return tuple(totals)


def encoder_macs(model: GFNet, size: int) -> int:
    """Multiply-adds of the local encoder and its own head on one image of ``size`` pixels a side."""
    blank = torch.zeros(1, 3, size, size, device=model.device)
    was_training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _, feature = model.local_encoder(blank)
        model.local_encoder.classify(feature)
    model.train(was_training)
    return counter.get_total_flops() // 2
