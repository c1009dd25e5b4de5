"""ResNet: the feature map is layer4's output, the feature its mean; the head is ``fc``."""

from gfnet.network.backbones.encoder import Family

FAMILY = Family(timm_names={"resnet50": "resnet50"})
