"""What a network is: frozen configurations, and the table of the fourteen released ones.

Sources: the defaults of each family are those of the released models (NeurIPS 2020, appendix A;
arXiv 2201.03014, section 4) as the official code builds them.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args, get_type_hints

from gfnet.errors import ConfigError
from gfnet.escaping import one_line
from gfnet.limits import LARGEST_HIDDEN, LARGEST_IMAGE, LARGEST_RESIZE, LONGEST_ARCHITECTURE, MOST_CLASSES, MOST_STEPS

Interpolation = Literal["bilinear", "bicubic"]
ClassifierKind = Literal["recurrent", "cascade"]
GlanceHead = Literal["classifier", "encoder"]
PolicyKind = Literal["conv", "linear"]
Augmentation = Literal["crop", "jitter", "flip", "none"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ModelConfig:
    """One Glance-and-Focus network, without its weights.

    Attributes:
        arch: backbone: one of :data:`OFFICIAL_ARCHS`, or any timm model's name.
        patch_size: side of the square input of every step, pixels.
        steps: T, the most steps an image may take; step 1 is the glance.
        num_classes: number of classes.
        image_size: side of the full-resolution square image, pixels.
        crop_ratio: the image is the centre crop of a resize to ``int(image_size / crop_ratio)``.
        interpolation: of that resize.
        glance_interpolation: of the resize from image to glance (``align_corners=True``).
        classifier: ``recurrent``: GRU and one linear layer; ``cascade``: one linear layer a step
            over the features of all steps so far.
        classifier_hidden: width of the recurrent classifier's GRU; unused by the cascade.
        glance_head: what classifies at step 1: the classifier, or the global encoder's own head.
        policy: form of the policy's state encoder.
        policy_hidden: width of the policy's GRU.
        dropout: rate on the pooled features while training, [0, 1).
        drop_path: rate of the last residual block while training, [0, 1).
        mean: per-channel mean of the normalised input, for pixels in [0, 1].
        std: per-channel standard deviation, likewise.

    Raises:
        ConfigError: a value is out of range; the message names it.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # where it is part of a file

    arch: str
    patch_size: int
    steps: int
    num_classes: int = 1000
    image_size: int = 224
    crop_ratio: float = 0.875
    interpolation: Interpolation = "bilinear"
    glance_interpolation: Interpolation = "bicubic"
    classifier: ClassifierKind = "cascade"
    classifier_hidden: int = 1024
    glance_head: GlanceHead = "encoder"
    policy: PolicyKind = "conv"
    policy_hidden: int = 256
    dropout: float = 0.0
    drop_path: float = 0.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        for name, most in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(f"{name} is {one_line(repr(value))}; use a whole number from 1 to {most}")
        if self.image_size < self.patch_size:
            raise ConfigError(
                f"image_size {self.image_size} is smaller than patch_size {self.patch_size}; "
                "use a larger image or a smaller patch"
            )
        if not (_is_number(self.crop_ratio) and 1 / LARGEST_RESIZE <= self.crop_ratio <= 1):
            raise ConfigError(
                f"crop_ratio is {one_line(repr(self.crop_ratio))}; use a number from {1 / LARGEST_RESIZE} to 1"
            )
        for name in ("dropout", "drop_path"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value < 1):
                raise ConfigError(f"{name} is {one_line(repr(value))}; use a number from 0 to below 1")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {one_line(repr(getattr(self, name)))}; use one of {', '.join(choices)}")
        if not isinstance(self.arch, str) or not 0 < len(self.arch) <= LONGEST_ARCHITECTURE:
            raise ConfigError(f"arch is {one_line(repr(self.arch))}; use a backbone's name")
        for name in ("mean", "std"):
            value = getattr(self, name)
            if not (isinstance(value, tuple) and len(value) == 3 and all(map(_is_number, value))):
                raise ConfigError(f"{name} is {one_line(repr(value))}; use three numbers")
        if min(self.std) <= 0:
            raise ConfigError(f"std is {self.std}; use three numbers above 0")

    @property
    def resize_size(self) -> int:
        """Length in pixels that the shorter side is resized to before the centre crop."""
        # The released ratios are rounded: 300 / 331 is written 0.904 or so; int() is the official rounding.
        return int(self.image_size / self.crop_ratio)

    @property
    def name(self) -> str:
        """See :func:`network_name`; the key of :data:`RELEASED`."""
        return network_name(self.arch, self.patch_size, self.steps)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            ConfigError: an unknown or missing name, a value of the wrong type or out of range.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        missing = sorted({"arch", "patch_size", "steps"} - set(values))
        if unknown or missing:
            raise ConfigError(f"model configuration: unknown {unknown}, missing {missing}")
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given)


def network_name(arch: str, patch_size: int, steps: int) -> str:
    """What a network is called in results and tables: ``<arch>_p<patch_size>_T<steps>``."""
    return f"{arch}_p{patch_size}_T{steps}"


def steps_of_name(name: str) -> int | None:
    """The number of steps in what :func:`network_name` made; ``None`` of another name."""
    found = re.fullmatch(r".+_p[1-9]\d*_T([1-9]\d*)", name)
    return int(found[1]) if found else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


_WHOLE_NUMBERS = {
    "patch_size": LARGEST_IMAGE,
    "image_size": LARGEST_IMAGE,
    "steps": MOST_STEPS,
    "num_classes": MOST_CLASSES,
    "classifier_hidden": LARGEST_HIDDEN,
    "policy_hidden": LARGEST_HIDDEN,
}
"""At most."""
_CHOICES = {
    name: get_args(hint)
    for name, hint in get_type_hints(ModelConfig).items()
    if name in ("interpolation", "glance_interpolation", "classifier", "glance_head", "policy")
}

_SHOWN_NAMES = 3

# What the official code fixes for each backbone; the rest are ModelConfig's own defaults.
_RESNET = {"classifier": "recurrent", "glance_head": "classifier", "policy": "linear", "policy_hidden": 1024}
_DENSENET = {**_RESNET, "glance_interpolation": "bilinear"}
_REGNET = {"classifier": "recurrent", "glance_head": "encoder", "glance_interpolation": "bilinear"}
_MOBILENET = {"dropout": 0.2, "drop_path": 0.2}
_EFFICIENTNET = {"dropout": 0.3, "drop_path": 0.2, "interpolation": "bicubic"}

OFFICIAL_ARCHS: Mapping[str, Mapping[str, Any]] = {
    "resnet50": _RESNET,
    "densenet121": _DENSENET,
    "densenet169": _DENSENET,
    "densenet201": _DENSENET,
    "regnety_600m": _REGNET,
    "regnety_800m": _REGNET,
    "regnety_1.6g": _REGNET,
    "mobilenetv3_large_100": _MOBILENET,
    "mobilenetv3_large_125": _MOBILENET,
    "efficientnet_b2": {**_EFFICIENTNET, "image_size": 260},
    "efficientnet_b3": {**_EFFICIENTNET, "image_size": 300, "crop_ratio": 0.904},
}


def model_config(arch: str, patch_size: int, steps: int, **overrides: Any) -> ModelConfig:
    """The configuration of ``arch`` with its family's defaults.

    Args:
        arch: an official backbone or any timm model's name; those others get a cascaded
            classifier and a convolutional policy.
        overrides: any other field of :class:`ModelConfig`; ``None`` keeps the default.

    Raises:
        ConfigError: a value is out of range.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    return ModelConfig.from_dict(
        {**OFFICIAL_ARCHS.get(arch, {}), "arch": arch, "patch_size": patch_size, "steps": steps, **given}
    )


RELEASED: Mapping[str, ModelConfig] = {
    config.name: config
    for config in (
        model_config("resnet50", 96, 5),
        model_config("resnet50", 128, 5),
        model_config("densenet121", 96, 5),
        model_config("densenet169", 96, 5),
        model_config("densenet201", 96, 5),
        model_config("regnety_600m", 96, 5),
        model_config("regnety_800m", 96, 5),
        model_config("regnety_1.6g", 96, 5),
        model_config("mobilenetv3_large_100", 96, 3),
        model_config("mobilenetv3_large_100", 128, 3),
        model_config("mobilenetv3_large_125", 128, 3),
        model_config("efficientnet_b2", 128, 4),
        model_config("efficientnet_b3", 128, 4),
        model_config("efficientnet_b3", 144, 4),
    )
}
"""The fourteen networks that the authors released, by :attr:`ModelConfig.name`."""


def unknown_backbone(arch: str, similar: Sequence[str]) -> ConfigError:
    """The error for a backbone that is neither official nor timm's, which may name models of similar names."""
    hint = f"; similar names: {', '.join(similar[:_SHOWN_NAMES])}" if similar else ""
    return ConfigError(f"arch {arch!r} is neither an official backbone nor a timm model{hint}")


def refuse_told(**told: Any) -> None:
    """Refuse options that complete an official checkpoint (``arch``, ``patch_size``, ``steps``) for any other network.

    Raises:
        ConfigError: one is not ``None``.
    """
    options = [f"--{name.replace('_', '-')}" for name, value in told.items() if value is not None]
    if options:
        raise ConfigError(f"names its network itself; leave out {' and '.join(options)}")
