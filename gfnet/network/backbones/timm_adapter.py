"""An encoder of any timm model; what the model does not say about itself is found by running it once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import timm
import torch
from timm.layers import DropPath
from timm.models import is_model, list_models
from torch import Tensor, nn

from gfnet.config import unknown_backbone
from gfnet.errors import ConfigError
from gfnet.escaping import one_line
from gfnet.network.backbones.encoder import Encoder
from gfnet.network.backbones.stochastic import BatchDropout

_SAME = 1e-3  # relative; of the backbone's own answer and its head on the feature

Result = TypeVar("Result")
Layout = Literal["planes", "rows", "tokens"]
"""How a model keeps its feature map: [B,C,h,w], [B,h,w,C], or [B,N,C] with class and register tokens first."""


class TimmEncoder(Encoder):
    """A timm model behind the :class:`Encoder` contract.

    The feature map is ``forward_features``' output as [B,C,h,w], whatever layout the model keeps; the
    feature is ``forward_head(..., pre_logits=True)``, then dropout.  Models differ in all of this, so the
    contract is checked on one image, and a model that does not keep it is refused.

    Args:
        name: a timm model name.
        num_classes: width of the encoder's own head.
        patch_size: side of the square input that it will see, pixels.
        dropout: rate on the pooled feature while training.
        drop_path: stochastic depth of the last residual block while training.

    Raises:
        ConfigError: timm has no such model, it cannot see inputs of this size, or it does not give one feature
            map, one pooled feature and a head on that feature alone.
    """

    def __init__(
        self, name: str, num_classes: int, patch_size: int, *, dropout: float = 0.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.net = _create(name, num_classes, patch_size, {"drop_path_rate": drop_path} if drop_path else {})
        _replace_drop_path(self.net)
        self.dropout = BatchDropout(dropout)
        was_training = self.net.training
        self.eval()
        with torch.no_grad():
            self._check_contract(name, num_classes, patch_size)
        self.train(was_training)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.net.forward_features(x)
        return self._as_map(features), self.dropout(self.net.forward_head(features, pre_logits=True).flatten(1))

    @property
    def head(self) -> nn.Module:
        heads = self.net.get_classifier()
        if isinstance(heads, tuple | list):
            return _MeanOfHeads(heads)
        return _ConvolutionHead(heads) if isinstance(heads, nn.Conv2d) else heads

    def _check_contract(self, name: str, num_classes: int, patch_size: int) -> None:
        """Run the model on one image, and note what it gives.

        Raises:
            ConfigError: it breaks the contract; the message names the part that does.
        """
        device = next(self.net.parameters()).device
        noise = torch.rand(1, 3, patch_size, patch_size, generator=torch.Generator("cpu").manual_seed(0), device="cpu")
        image = noise.to(device)
        size = f"cannot see patches of {patch_size} pixels"
        features = _attempt(name, size, "size or backbone", lambda: self.net.forward_features(image))
        no_map = "gives no feature map"
        self._layout = _attempt(name, no_map, "backbone", lambda: _layout_of(features, self.net))
        shape = _attempt(name, no_map, "size or backbone", lambda: self._as_map(features)).shape
        self.map_shape = (shape[1], shape[2], shape[3])
        feature = _attempt(name, "gives no pooled feature", "backbone", lambda: self._pooled(features))
        self.feature_dim = feature.shape[1]
        no_head = "has no head on its pooled feature alone"
        _attempt(name, no_head, "backbone", lambda: self._check_head(features, feature, num_classes))

    def _pooled(self, features: Any) -> Tensor:
        feature = self.net.forward_head(features, pre_logits=True)
        if not isinstance(feature, Tensor):
            raise TypeError(f"it is {_described(feature)}")
        return feature.flatten(1)

    def _check_head(self, features: Any, feature: Tensor, num_classes: int) -> None:
        logits, own = self.classify(feature), self.net.forward_head(features)
        if not isinstance(own, Tensor) or not logits.shape == own.shape == (1, num_classes):
            raise ValueError(f"its answer is {_described(own)}")
        if not own.is_meta and not torch.allclose(logits, own, rtol=_SAME, atol=_SAME * float(own.abs().max())):
            raise ValueError("its answer depends on more than that")

    def _as_map(self, features: Tensor) -> Tensor:
        """Any of timm's three layouts as [B,C,h,w]."""
        if self._layout == "planes":
            return features
        if self._layout == "rows":
            return features.permute(0, 3, 1, 2)
        tokens = features[:, getattr(self.net, "num_prefix_tokens", 0) :]
        side = math.isqrt(tokens.shape[1])
        if side < 2 or side * side != tokens.shape[1]:  # one token is a class token more often than a map
            raise ValueError(f"{tokens.shape[1]} token(s), which make no square map")
        planes: Tensor = tokens.transpose(1, 2).unflatten(2, (side, side))  # type: ignore[no-untyped-call]
        return planes


class _MeanOfHeads(nn.Module):
    """Several heads on one feature, which answer together: what distillation leaves behind."""

    def __init__(self, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, feature: Tensor) -> Tensor:
        return torch.stack([head(feature) for head in self.heads]).mean(0)


class _ConvolutionHead(nn.Module):
    """A 1x1 convolution that classifies a vector."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, feature: Tensor) -> Tensor:
        logits: Tensor = self.convolution(feature[:, :, None, None]).flatten(1)
        return logits


def _attempt(name: str, what: str, choose: str, action: Callable[[], Result]) -> Result:
    """Do something to a model of unknown make.

    Raises:
        ConfigError: ``arch <name> <what>``, with the reason, in place of whatever the model raised.
    """
    try:
        return action()
    except Exception as error:  # three hundred authors' code: there is no list of what it may raise
        reason = one_line(next(iter(str(error).splitlines()), type(error).__name__))
        raise ConfigError(f"arch {name!r} {what} ({reason}); choose another {choose}") from error


def _layout_of(features: Any, net: nn.Module) -> Layout:
    """The layout of what a model gives for one square image.

    Raises:
        TypeError: it is not a feature map.
    """
    if isinstance(features, Tensor) and features.ndim == 3:
        return "tokens"
    if isinstance(features, Tensor) and features.ndim == 4:
        _, first, second, third = features.shape
        if first == second and (second != third or getattr(net, "output_fmt", "NCHW") == "NHWC"):
            return "rows"
        if second == third:
            return "planes"
    raise TypeError(f"it gives {_described(features)}")


def _described(value: Any) -> str:
    """What a model gave in place of what it should have given."""
    if isinstance(value, Tensor):
        return f"values of the shape {list(value.shape)}"
    size = f" of {len(value)}" if isinstance(value, list | tuple | dict) else ""
    return f"a {type(value).__name__}{size}"


def _replace_drop_path(net: nn.Module) -> None:
    """Let stochastic depth draw its masks by the images' places in the batch."""
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, DropPath):
                setattr(parent, name, BatchDropout(child.drop_prob, whole_rows=True))


def _create(name: str, num_classes: int, patch_size: int, rates: dict[str, float]) -> nn.Module:
    if not is_model(name):
        raise unknown_backbone(name, list_models(f"{name[:6]}*"))

    def create() -> nn.Module:
        try:
            # Transformers are built for one input size; convolutional models refuse the argument.
            net: nn.Module = timm.create_model(name, num_classes=num_classes, img_size=patch_size, **rates)
        except TypeError:
            net = timm.create_model(name, num_classes=num_classes, **rates)
        return net

    return _attempt(name, f"cannot see patches of {patch_size} pixels", "size or backbone", create)
