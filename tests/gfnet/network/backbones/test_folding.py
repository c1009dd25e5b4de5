from __future__ import annotations

import pytest
import torch
from torch import nn

from gfnet.network.backbones import create_encoder
from gfnet.network.backbones.folding import folded_copy


def trained_alike(name, size):
    """An encoder whose BatchNorms do something."""
    torch.manual_seed(0)
    encoder = create_encoder(name, 5, size)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    return encoder


# Every official family, and timm models with other orders of norm and convolution.
@pytest.mark.parametrize(
    ("name", "folds"),
    [
        ("resnet50", True),
        ("densenet121", True),  # norm, then convolution: only the first and some inner ones fold
        ("regnety_600m", True),
        ("mobilenetv3_large_100", True),
        ("efficientnet_b2", True),
        ("test_vit", False),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.no_grad()
def test_a_folded_copy_computes_the_same(name, folds, layout):
    encoder = trained_alike(name, 64).to(memory_format=layout)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    folded = folded_copy(encoder, 64)
    x = torch.randn(2, 3, 64, 64).to(memory_format=layout)
    for ours, expected in zip(folded(x), encoder.eval()(x), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=2e-5 * float(expected.abs().max()))
    biased = [module.bias is not None for module in folded.modules() if isinstance(module, nn.Conv2d)]
    assert (sum(biased) > sum(m.bias is not None for m in encoder.modules() if isinstance(m, nn.Conv2d))) == folds
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())


def test_a_folded_copy_takes_no_gradient_and_stays_in_eval_mode():
    folded = folded_copy(create_encoder("test_resnet", 5, 64), 64)
    assert not any(module.training for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
