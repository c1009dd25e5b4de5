from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from gfnet.config import RELEASED, model_config
from gfnet.network.cost import cumulative_macs, encoder_macs
from gfnet.network.model import GFNet
from golden_support import GOLDEN, RELEASED_NAMES, meta_model

FLOPS = json.loads((GOLDEN / "flops.json").read_text())


@pytest.mark.parametrize("name", RELEASED_NAMES)
def test_multiply_adds_equal_those_of_the_official_code(name):
    assert list(cumulative_macs(meta_model(RELEASED[name]))) == FLOPS[name]["cumulative"]


@pytest.mark.parametrize("name", RELEASED_NAMES)
def test_encoder_costs_what_the_official_one_costs(name):
    expected = FLOPS[name]["model"] + FLOPS[name]["glance_linear_head"]
    assert encoder_macs(meta_model(RELEASED[name]), RELEASED[name].patch_size) == expected


class Handing(nn.Module):
    """Hands a parameter on to a layer as its input, as some transformers do with their class token."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.token = encoder, nn.Parameter(torch.zeros(1, encoder.feature_dim))
        self.layer = nn.Linear(encoder.feature_dim, encoder.feature_dim, bias=False)

    def forward(self, x):
        feature_map, feature = self.encoder(x)
        return feature_map, feature + self.layer(self.token.expand(len(x), -1))


def test_a_parameter_may_be_a_layer_s_input():
    model = GFNet(model_config("test_resnet", 32, 2, num_classes=10, image_size=96, glance_head="classifier"))
    model.policy.requires_grad_(False)
    before = cumulative_macs(model)
    width = model.local_encoder.feature_dim
    counted = cumulative_macs(model.with_encoders(model.global_encoder, Handing(model.local_encoder)))
    assert (counted[0], counted[1] - before[1]) == (before[0], width * width)
    assert all(parameter.requires_grad for parameter in model.local_encoder.parameters())
    assert not any(parameter.requires_grad for parameter in model.policy.parameters())


def test_counting_leaves_the_mode_alone():
    model = GFNet(model_config("test_resnet", 32, 3, num_classes=10, image_size=96)).train()
    macs = cumulative_macs(model)
    assert model.training
    assert macs[2] - macs[1] > macs[1] - macs[0] > macs[0] > 0  # the cascade's heads grow
