"""RegNet-Y: the feature map is stage 4's output; the head is ``fc``.

The official code keeps pycls's parameter names, timm has its own; only the names differ.
"""

import re

from gfnet.network.backbones.encoder import Family

_BLOCK_RENAMES = (  # timm's name inside a block, the official one
    ("downsample.conv", "proj"),
    ("downsample.bn", "bn"),
    ("conv1.conv", "f.a"),
    ("conv1.bn", "f.a_bn"),
    ("conv2.conv", "f.b"),
    ("conv2.bn", "f.b_bn"),
    ("se.fc1", "f.se.f_ex.0"),
    ("se.fc2", "f.se.f_ex.2"),
    ("conv3.conv", "f.c"),
    ("conv3.bn", "f.c_bn"),
)


def official_key(key: str) -> str:
    """``s1.b1.conv1.conv.weight`` to ``s1.b1.f.a.weight``, ``head.fc.bias`` to ``fc.bias``, and so on."""
    block = re.match(r"(s\d+\.b\d+\.)(.+)", key)
    if block:
        for ours, official in _BLOCK_RENAMES:
            if block[2].startswith(ours + "."):
                return block[1] + official + block[2].removeprefix(ours)
    return key.removeprefix("head.")


FAMILY = Family(
    timm_names={"regnety_600m": "regnety_006", "regnety_800m": "regnety_008", "regnety_1.6g": "regnety_016"},
    official_key=official_key,
)
