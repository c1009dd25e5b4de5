from __future__ import annotations

import pytest
import torch

from gfnet.backbones import create_encoder
from gfnet.errors import ConfigError


@pytest.mark.parametrize(
    "name",
    [
        "test_resnet",  # a convolutional map
        "test_mambaout",  # channels last
        "test_vit",  # tokens, a class token first
    ],
)
@torch.no_grad()
def test_any_timm_model_gives_a_map_and_a_feature(name):
    encoder = create_encoder(name, 7, 64).eval()
    feature_map, feature = encoder(torch.randn(2, 3, 64, 64))
    assert feature_map.shape == (2, *encoder.map_shape)
    assert encoder.map_shape[1] == encoder.map_shape[2] < 64
    assert feature.shape == (2, encoder.feature_dim)
    assert encoder.classify(feature).shape == (2, 7)


@torch.no_grad()
def test_own_head_on_the_feature_is_the_model_itself():
    encoder = create_encoder("test_resnet", 7, 64).eval()
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(encoder.classify(encoder(images)[1]), encoder.net(images))


def test_unknown_models_are_refused_with_similar_names():
    with pytest.raises(ConfigError, match=r"'resnet51'.*similar names: resnet"):
        create_encoder("resnet51", 10, 96)


def test_a_patch_that_the_model_cannot_see_is_refused():
    with pytest.raises(ConfigError, match="cannot see patches of 20 pixels"):
        create_encoder("test_vit", 10, 20)
