"""DenseNet: the feature map follows the last norm and its ReLU; the head is ``classifier``."""

from gfnet.network.backbones.encoder import Family

FAMILY = Family(timm_names={name: name for name in ("densenet121", "densenet169", "densenet201")})
