"""The policy: where to look next.

A state encoder, a GRU over the steps, an actor that proposes the patch and a critic that only training
uses.  Two forms of state encoder exist (section 3.2 of the papers; the official ``ActorCritic``).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gfnet.config import PolicyKind
from gfnet.network.gru import GRUStep

ACTION_STD = 0.1
"""Standard deviation of the exploration noise (the official code calls it ``action_var``)."""

_CONV_CHANNELS = 32
_LINEAR_WIDTH = 2048


class Policy(nn.Module):
    """Proposes an action from a feature map and its memory of earlier ones.

    Args:
        map_shape: (C, h, w) of the encoders' feature map.
        kind: ``conv``: 1x1 convolution to 32 channels, then one linear layer; ``linear``: two of them.
        hidden_size: width of the GRU and of the encoded state.
    """

    def __init__(self, map_shape: tuple[int, int, int], kind: PolicyKind, hidden_size: int) -> None:
        super().__init__()
        channels, height, width = map_shape
        if kind == "conv":
            self.state_encoder = nn.Sequential(
                nn.Conv2d(channels, _CONV_CHANNELS, kernel_size=1, bias=False),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(_CONV_CHANNELS * height * width, hidden_size),
                nn.ReLU(),
            )
        else:
            self.state_encoder = nn.Sequential(
                nn.Linear(channels * height * width, _LINEAR_WIDTH),
                nn.ReLU(),
                nn.Linear(_LINEAR_WIDTH, hidden_size),
                nn.ReLU(),
            )
        self.flatten_first = kind == "linear"
        self.gru = GRUStep(hidden_size, hidden_size)
        self.actor = nn.Sequential(nn.Linear(hidden_size, 2), nn.Sigmoid())
        self.critic = nn.Sequential(nn.Linear(hidden_size, 1))

    def encode(self, feature_map: Tensor) -> Tensor:
        """``feature_map`` [B,C,h,w] to the encoded state [B,H]; images and steps do not depend on each other."""
        state: Tensor = self.state_encoder(feature_map.flatten(1) if self.flatten_first else feature_map)
        return state

    def remember(self, feature_map: Tensor, hidden: Tensor) -> Tensor:
        """Fold ``feature_map`` [B,C,h,w] into the memory ``hidden`` [B,H]; returns the new memory."""
        memory: Tensor = self.gru(self.encode(feature_map), hidden)
        return memory

    def forward(self, feature_map: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The mean action [B,2], (row, col) in [0, 1], and the new memory [B,H]."""
        hidden = self.remember(feature_map, hidden)
        return self.actor(hidden), hidden

    def value(self, hidden: Tensor) -> Tensor:
        """The critic's estimate [B] of the return that follows memory ``hidden`` [B,H]."""
        value: Tensor = self.critic(hidden).squeeze(1)
        return value


def sample_action(mean: Tensor, noise: Tensor) -> Tensor:
    """Explore around ``mean`` [...,2] with standard normal ``noise`` of the same shape, within [0, 1]."""
    # The official clamp, which differs from torch.clamp by up to 3e-8.
    action = torch.relu(mean + ACTION_STD * noise)
    return 1 - torch.relu(1 - action)


def action_log_prob(mean: Tensor, action: Tensor) -> Tensor:
    """Log density [...] of ``action`` [...,2] under the unclamped Gaussian around ``mean``."""
    squares = ((action - mean) / ACTION_STD).square().sum(-1)
    return -0.5 * squares - math.log(2 * math.pi) - 2 * math.log(ACTION_STD)


ACTION_ENTROPY = 1 + math.log(2 * math.pi) + 2 * math.log(ACTION_STD)
"""Entropy of the exploration noise in nats; constant, since its spread is fixed."""
