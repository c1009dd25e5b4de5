"""An encoder of any timm model; what the model does not say about itself is found by running it once."""

from __future__ import annotations

import math

import timm
import torch
from timm.layers import DropPath
from timm.models import is_model, list_models
from torch import Tensor, nn

from gfnet.backbones.encoder import Encoder
from gfnet.backbones.stochastic import BatchDropout
from gfnet.errors import ConfigError


class TimmEncoder(Encoder):
    """A timm model behind the :class:`Encoder` contract.

    The feature map is ``forward_features``' output as [B,C,h,w], whatever layout the model keeps; the
    feature is ``forward_head(..., pre_logits=True)``, then dropout.

    Args:
        name: a timm model name.
        num_classes: width of the encoder's own head.
        patch_size: side of the square input that it will see, pixels.
        dropout: rate on the pooled feature while training.
        drop_path: stochastic depth of the last residual block while training.

    Raises:
        ConfigError: timm has no such model, or it cannot see inputs of this size.
    """

    def __init__(
        self, name: str, num_classes: int, patch_size: int, *, dropout: float = 0.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.net = _create(name, num_classes, patch_size, {"drop_path_rate": drop_path} if drop_path else {})
        _replace_drop_path(self.net)
        self.dropout = BatchDropout(dropout)
        was_training = self.net.training
        try:
            with torch.no_grad():
                feature_map, feature = self.eval()(torch.zeros(1, 3, patch_size, patch_size))
                self.classify(feature)
        except (TypeError, AttributeError) as error:
            raise ConfigError(
                f"arch {name!r} does not give one feature map and one head ({error}); choose another backbone"
            ) from error
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"arch {name!r} cannot see patches of {patch_size} pixels ({reason}); choose another size"
            ) from error
        self.train(was_training)
        self.map_shape = (feature_map.shape[1], feature_map.shape[2], feature_map.shape[3])
        self.feature_dim = feature.shape[1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.net.forward_features(x)
        return self._as_map(features), self.dropout(self.net.forward_head(features, pre_logits=True).flatten(1))

    @property
    def head(self) -> nn.Module:
        return self.net.get_classifier()

    def _as_map(self, features: Tensor) -> Tensor:
        """Any of timm's three layouts as [B,C,h,w]."""
        if features.ndim == 4 and getattr(self.net, "output_fmt", "NCHW") == "NHWC":
            return features.permute(0, 3, 1, 2)
        if features.ndim == 4 and features.shape[1] != self.net.num_features != features.shape[3]:
            return features  # MobileNet-V3: the head convolution widens the map only after pooling
        if features.ndim == 4 and features.shape[1] != self.net.num_features:
            return features.permute(0, 3, 1, 2)
        if features.ndim == 3:  # [B,N,C] tokens, class and register tokens first
            tokens = features[:, getattr(self.net, "num_prefix_tokens", 0) :]
            side = math.isqrt(tokens.shape[1])
            if side * side != tokens.shape[1]:
                raise ValueError(f"{tokens.shape[1]} tokens are no square map")
            return tokens.transpose(1, 2).unflatten(2, (side, side))
        return features


def _replace_drop_path(net: nn.Module) -> None:
    """Let stochastic depth draw its masks by the images' places in the batch."""
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, DropPath):
                setattr(parent, name, BatchDropout(child.drop_prob, whole_rows=True))


def _create(name: str, num_classes: int, patch_size: int, rates: dict[str, float]) -> nn.Module:
    if not is_model(name):
        near = list_models(f"{name[:6]}*")[:3]
        hint = f"; similar names: {', '.join(near)}" if near else ""
        raise ConfigError(f"arch {name!r} is neither an official backbone nor a timm model{hint}")
    try:
        # Transformers are built for one input size; convolutional models refuse the argument.
        return timm.create_model(name, num_classes=num_classes, img_size=patch_size, **rates)
    except TypeError:
        return timm.create_model(name, num_classes=num_classes, **rates)
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"arch {name!r} cannot see patches of {patch_size} pixels ({error})") from error
