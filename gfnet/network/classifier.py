"""The classifier: one answer a step, from everything seen so far.

The official ``Full_layer`` in its two forms.  Memory is a value that the caller carries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gfnet.config import ModelConfig
from gfnet.network.gru import GRUStep

_OFFICIAL_CASCADE_STEPS = 5


class RecurrentClassifier(nn.Module):
    """A GRU over the steps' features and one linear layer (ResNet, DenseNet, RegNet)."""

    def __init__(self, feature_dim: int, hidden_size: int, num_classes: int) -> None:
        super().__init__()
        self.rnn = GRUStep(feature_dim, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    @property
    def unreached(self) -> tuple[nn.Module, ...]:
        """Layers of steps that this network never takes: none."""
        return ()

    def forward(self, feature: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """``feature`` [B,D] and memory [B,H] (``None`` at the glance) to logits and the next memory."""
        hidden = self.rnn.initial(len(feature)) if memory is None else memory
        hidden = self.rnn(feature, hidden)
        return self.fc(hidden), hidden


class CascadeClassifier(nn.Module):
    """One linear layer a step, over the features of all steps so far (MobileNet-V3, EfficientNet).

    Layers ``fc_2`` to ``fc_5`` always exist, as in official files; longer sequences get more.  Layers
    that no step of this network reaches take no gradient.
    """

    def __init__(self, feature_dim: int, steps: int, num_classes: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        for step in range(2, max(steps, _OFFICIAL_CASCADE_STEPS) + 1):
            self.add_module(f"fc_{step}", nn.Linear(step * feature_dim, num_classes))
        self.steps = steps
        for layer in self.unreached:
            layer.requires_grad_(False)

    @property
    def unreached(self) -> tuple[nn.Module, ...]:
        """Layers of steps that this network never takes."""
        last = max(self.steps, _OFFICIAL_CASCADE_STEPS)
        return tuple(self.get_submodule(f"fc_{step}") for step in range(max(self.steps, 1) + 1, last + 1))

    def forward(self, feature: Tensor, memory: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """``feature`` [B,D] and memory [B,t*D] (``None`` at the glance) to logits and the next memory.

        The cascade has no head for the glance: its logits there are ``None``.
        """
        if memory is None:
            return None, feature
        memory = torch.cat([memory, feature], dim=1)  # [B,(t+1)*D]
        step = memory.shape[1] // self.feature_dim
        return self.get_submodule(f"fc_{step}")(memory), memory

    @torch.no_grad()
    def start_as_mean(self, glance: nn.Linear, focus: nn.Linear) -> None:
        """Set each step's answer to the mean of the logits that the encoders' own heads give so far.

        A mean of linear functions of the features is one linear function of them joined, so this is a starting
        point that training goes on from, not another classifier.

        Args:
            glance: the global encoder's head, from D to num_classes.
            focus: the local encoder's.
        """
        for step in range(2, self.steps + 1):
            layer = self.get_submodule(f"fc_{step}")
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(torch.cat([glance.weight, *[focus.weight] * (step - 1)], dim=1) / step)
            layer.bias.copy_((glance.bias + (step - 1) * focus.bias) / step)


def create_classifier(config: ModelConfig, feature_dim: int) -> RecurrentClassifier | CascadeClassifier:
    """The classifier that ``config`` names, with random weights."""
    if config.classifier == "recurrent":
        return RecurrentClassifier(feature_dim, config.classifier_hidden, config.num_classes)
    return CascadeClassifier(feature_dim, config.steps, config.num_classes)
