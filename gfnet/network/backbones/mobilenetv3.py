"""MobileNet-V3: the feature map is the last block's output (960 or 1200 channels).

The feature is pooled first and then goes through the head convolution and hard-swish to 1280, so a
phone runs that layer as 1x1 on a single pixel.
"""

from typing import Any

from timm.models import register_model
from timm.models.mobilenetv3 import MobileNetV3, _gen_mobilenet_v3

from gfnet.network.backbones.encoder import Family

FAMILY = Family(timm_names={name: name for name in ("mobilenetv3_large_100", "mobilenetv3_large_125")})


@register_model  # type: ignore[untyped-decorator]  # timm has no types
def mobilenetv3_large_125(pretrained: bool = False, **kwargs: Any) -> MobileNetV3:
    """MobileNet-V3 Large at width 1.25, which timm can build but does not register."""
    if not kwargs.get("pretrained_cfg"):  # timm has no weights of it, and warns of that unless it is told so
        kwargs["pretrained_cfg"] = {"architecture": "mobilenetv3_large_125"}
    # create_model(..., channel_multiplier=1.25) is refused: the registered entry points pass their own.
    return _gen_mobilenet_v3("mobilenetv3_large_125", 1.25, pretrained=pretrained, **kwargs)
