from __future__ import annotations

import torch
from torch import nn

from gfnet.network.gru import GRUStep


@torch.no_grad()
def test_steps_equal_torchs_gru():
    torch.manual_seed(0)
    ours, theirs = GRUStep(5, 7).double(), nn.GRU(5, 7).double()
    theirs.load_state_dict(ours.state_dict())
    sequence = torch.randn(4, 3, 5, dtype=torch.float64)
    expected, _ = theirs(sequence)
    hidden = ours.initial(3)
    for x, after in zip(sequence, expected, strict=True):
        hidden = ours(x, hidden)
        torch.testing.assert_close(hidden, after)
