from __future__ import annotations

import torch

from gfnet.network.backbones import create_encoder


def test_making_the_width_that_timm_does_not_know_warns_of_nothing(caplog):
    with torch.device("meta"):
        create_encoder("mobilenetv3_large_125", 10, 32)
    assert caplog.text == ""
