"""One step of a GRU, written out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GRUStep(nn.Module):
    """A single-layer GRU run one step at a time, with ``nn.GRU``'s parameter names and arithmetic.

    ``nn.GRU`` itself exports badly: Core ML gets a while loop with gathers, and ONNX Runtime repacks its
    weights at every call.  Two linear layers and the gates are clean on both.
    """

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        bound = 1 / math.sqrt(hidden_size)  # nn.GRU's own initialisation
        for name, shape in (
            ("weight_ih_l0", (3 * hidden_size, input_size)),
            ("weight_hh_l0", (3 * hidden_size, hidden_size)),
            ("bias_ih_l0", (3 * hidden_size,)),
            ("bias_hh_l0", (3 * hidden_size,)),
        ):
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """``x`` [B,I] and ``hidden`` [B,H] to the next hidden state [B,H]."""
        from_input = F.linear(x, self.weight_ih_l0, self.bias_ih_l0)  # [B,3H]: reset, update, candidate
        from_hidden = F.linear(hidden, self.weight_hh_l0, self.bias_hh_l0)  # [B,3H]
        reset_i, update_i, candidate_i = from_input.chunk(3, dim=1)
        reset_h, update_h, candidate_h = from_hidden.chunk(3, dim=1)
        reset = torch.sigmoid(reset_i + reset_h)
        update = torch.sigmoid(update_i + update_h)
        candidate = torch.tanh(candidate_i + reset * candidate_h)
        return candidate + update * (hidden - candidate)

    def initial(self, batch_size: int) -> Tensor:
        """The zero state [B,H] on the parameters' device and dtype."""
        return self.bias_hh_l0.new_zeros(batch_size, self.hidden_size)
