"""The contract that every backbone meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


class Encoder(nn.Module):
    """A backbone that returns its last feature map and the pooled feature.

    Attributes:
        feature_dim: D, length of the pooled feature.
        map_shape: (C, h, w) of the feature map for the patch size it was made for.
        net: the network itself, under its own parameter names.
    """

    net: Any  # each library's models have methods of their own
    feature_dim: int
    map_shape: tuple[int, int, int]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode ``x``, float32 [B,3,P,P], normalised: ``(feature_map [B,C,h,w], feature [B,D])``."""
        raise NotImplementedError

    def classify(self, feature: Tensor) -> Tensor:
        """The backbone's own head: [B,D] to logits [B,num_classes]."""
        logits: Tensor = self.head(feature)
        return logits

    @property
    def head(self) -> nn.Module:
        """The backbone's own head; linear in every official family."""
        raise NotImplementedError


def same_key(key: str) -> str:
    """The key itself: most families are written alike by timm and by the official code."""
    return key


@dataclass(frozen=True)
class Family:
    """How one official family is built on timm.

    Attributes:
        timm_names: official name of each backbone to timm's.
        official_key: timm's state-dict key to the official one.
    """

    timm_names: Mapping[str, str]
    official_key: Callable[[str], str] = same_key
