from __future__ import annotations

import json

import pytest

from gfnet.config import RELEASED, model_config
from gfnet.cost import cumulative_macs, encoder_macs
from gfnet.model import GFNet
from golden_support import GOLDEN, RELEASED_NAMES, meta_model

FLOPS = json.loads((GOLDEN / "flops.json").read_text())


@pytest.mark.parametrize("name", RELEASED_NAMES)
def test_multiply_adds_equal_those_of_the_official_code(name):
    assert list(cumulative_macs(meta_model(RELEASED[name]))) == FLOPS[name]["cumulative"]


@pytest.mark.parametrize("name", RELEASED_NAMES)
def test_encoder_costs_what_the_official_one_costs(name):
    expected = FLOPS[name]["model"] + FLOPS[name]["glance_linear_head"]
    assert encoder_macs(meta_model(RELEASED[name]), RELEASED[name].patch_size) == expected


def test_counting_leaves_the_mode_alone():
    model = GFNet(model_config("test_resnet", 32, 3, num_classes=10, image_size=96)).train()
    macs = cumulative_macs(model)
    assert model.training
    assert macs[2] - macs[1] > macs[1] - macs[0] > macs[0] > 0  # the cascade's heads grow
