"""Backbones: the eleven official ones, and any other timm model by name."""

from __future__ import annotations

from gfnet.network.backbones import densenet, efficientnet, mobilenetv3, regnet, resnet
from gfnet.network.backbones.encoder import Encoder, Family
from gfnet.network.backbones.timm_adapter import TimmEncoder

FAMILIES: tuple[Family, ...] = (
    resnet.FAMILY,
    densenet.FAMILY,
    regnet.FAMILY,
    mobilenetv3.FAMILY,
    efficientnet.FAMILY,
)

__all__ = ["FAMILIES", "Encoder", "Family", "create_encoder", "family_of"]


def family_of(arch: str) -> Family:
    """The family of an official backbone; any other name is a timm model of a family of its own."""
    return next((family for family in FAMILIES if arch in family.timm_names), Family({arch: arch}))


def create_encoder(
    arch: str, num_classes: int, patch_size: int, *, dropout: float = 0.0, drop_path: float = 0.0
) -> Encoder:
    """An encoder with random weights.

    Args:
        arch: an official backbone or any timm model's name.
        num_classes: width of the encoder's own head.
        patch_size: side of its square input, pixels.
        dropout: rate on the pooled feature while training.
        drop_path: stochastic depth of the last residual block while training.

    Raises:
        ConfigError: unknown name, or a model that cannot see inputs of this size.
    """
    name = family_of(arch).timm_names[arch]
    return TimmEncoder(name, num_classes, patch_size, dropout=dropout, drop_path=drop_path)
