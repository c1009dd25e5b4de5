"""EfficientNet: the feature map follows the head convolution, its norm and swish; the head is ``classifier``."""

from gfnet.network.backbones.encoder import Family

FAMILY = Family(timm_names={name: name for name in ("efficientnet_b2", "efficientnet_b3")})
