"""Mixed precision: what the encoders and the classifier compute in, and fp16's loss scaling."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gfnet.choices import Amp
from gfnet.network.model import GFNet, State

_DTYPES = {"off": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """``torch.amp`` on one device.

    Args:
        amp: ``off``: float32; ``bf16``; ``fp16`` with gradient scaling.
        device: where the network is.
        scale: whether low-precision gradients will flow.
    """

    def __init__(self, amp: Amp, device: torch.device, *, scale: bool = True) -> None:
        self.amp = amp
        self.device_type = device.type
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=scale and amp == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        """Inside, convolutions and matrix products run in the low precision."""
        return torch.autocast(self.device_type, dtype=_DTYPES[self.amp], enabled=self.amp != "off")


def propose_exactly(model: GFNet, state: State) -> tuple[Tensor, State]:
    """``model.propose`` outside mixed precision: an action of 8 significant bits misses by a pixel."""
    with torch.autocast(state.feature_map.device.type, enabled=False):
        return model.propose(replace(state, feature_map=at_least_float32(state.feature_map)))


def at_least_float32(values: Tensor) -> Tensor:
    """Half-precision ``values`` as float32; wider ones as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
