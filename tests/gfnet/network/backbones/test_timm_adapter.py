from __future__ import annotations

import pytest
import torch
from torch import nn

from gfnet.errors import ConfigError
from gfnet.network.backbones import create_encoder, timm_adapter
from gfnet.network.backbones.timm_adapter import TimmEncoder


@pytest.mark.parametrize(
    "name",
    [
        "test_resnet",  # a convolutional map
        "test_mambaout",  # channels last
        "test_vit",  # tokens, a class token first
        "efficientformerv2_s0",  # two heads, of which distillation has taught one
        "dla46_c",  # a convolution for a head
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


class Model(nn.Module):
    """A timm model in miniature; what a test alters is what some family does."""

    def __init__(self, **parts):
        super().__init__()
        self.net = nn.Conv2d(3, 6, 8, 8)
        self.fc = nn.Linear(6, 5)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward_features(self, x):
        return self.net(x)

    def forward_head(self, features, pre_logits=False):
        pooled = features.mean((2, 3))
        return pooled if pre_logits else self.fc(pooled)

    def get_classifier(self):
        return self.fc


def encoder_of(monkeypatch, **parts):
    model = Model()
    for name, part in parts.items():
        object.__setattr__(model, name, part.__get__(model))
    monkeypatch.setattr(timm_adapter, "_create", lambda *_: model)
    return TimmEncoder("odd", 5, 32)


@torch.no_grad()
@pytest.mark.parametrize("channels", [6, 4])  # as many as pixels a side: only the model can tell its layout
@pytest.mark.parametrize("rows", [False, True])
def test_a_map_s_layout_is_found(monkeypatch, channels, rows):
    model = Model(net=nn.Conv2d(3, channels, 8, 8), fc=nn.Linear(channels, 5))
    if rows:
        model.output_fmt = "NHWC"
        model.forward_features = lambda x: model.net(x).permute(0, 2, 3, 1)
        model.forward_head = lambda x, pre_logits=False: x.mean((1, 2)) if pre_logits else model.fc(x.mean((1, 2)))
    monkeypatch.setattr(timm_adapter, "_create", lambda *_: model)
    encoder = TimmEncoder("odd", 5, 32).eval()
    image = torch.randn(2, 3, 32, 32)
    assert encoder.map_shape == (channels, 4, 4)
    torch.testing.assert_close(encoder(image)[0], model.net(image))


def broken(*_, **__):
    raise RuntimeError("boom\nand more")


NO_MAP, NO_FEATURE = "gives no feature map", "gives no pooled feature"
NO_HEAD = "has no head on its pooled feature alone"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"forward_features": lambda self, x: (self.net(x),) * 2}, f"{NO_MAP} (it gives a tuple of 2)"),
        ({"forward_features": lambda self, x: {"map": self.net(x)}}, f"{NO_MAP} (it gives a dict of 1)"),
        ({"forward_features": lambda self, x: None}, f"{NO_MAP} (it gives a NoneType)"),
        (
            {"forward_features": lambda self, x: self.net(x).mean((2, 3))},
            f"{NO_MAP} (it gives values of the shape [1, 6])",
        ),
        ({"forward_features": lambda self, x: self.net(x)[:, :, :2]}, "it gives values of the shape [1, 6, 2, 4]"),
        ({"forward_features": lambda self, x: self.net(x)[:, None]}, "it gives values of the shape [1, 1, 6, 4, 4]"),
        (
            {"forward_features": lambda self, x: x.flatten(2)[:, :, :17].mT},
            f"{NO_MAP} (17 token(s), which make no square map)",
        ),
        ({"forward_features": lambda self, x: x.flatten(2)[:, :, :1].mT}, f"{NO_MAP} (1 token(s), which make no"),
        ({"forward_features": broken}, "cannot see patches of 32 pixels (boom); choose another size or backbone"),
        ({"forward_head": broken}, f"{NO_FEATURE} (boom); choose another backbone"),
        ({"forward_head": lambda self, x: x}, f"{NO_FEATURE} ("),
        ({"forward_head": lambda self, x, pre_logits=False: (x, x)}, f"{NO_FEATURE} (it is a tuple of 2)"),
        ({"get_classifier": broken}, f"{NO_HEAD} (boom)"),
        ({"get_classifier": lambda self: None}, f"{NO_HEAD} ("),
        ({"get_classifier": lambda self: {}}, f"{NO_HEAD} ("),
        ({"get_classifier": lambda self: nn.Linear(6, 4)}, f"{NO_HEAD} ("),
        ({"get_classifier": lambda self: nn.Linear(6, 5)}, f"{NO_HEAD} (its answer depends on more than that)"),
        ({"get_classifier": lambda self: (self.fc, nn.Linear(6, 5))}, f"{NO_HEAD} (its answer depends on more"),
    ],
)
def test_what_breaks_the_contract_is_refused_in_words(monkeypatch, parts, message):
    with pytest.raises(ConfigError) as refusal:
        encoder_of(monkeypatch, **parts)
    assert str(refusal.value).startswith("arch 'odd' ")
    assert message in str(refusal.value)
    assert "; choose another " in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_model_without_a_part_of_the_contract_is_refused(monkeypatch):
    monkeypatch.setattr(timm_adapter, "_create", lambda *_: nn.Conv2d(3, 6, 8, 8))
    with pytest.raises(ConfigError, match=r"'odd' cannot see patches of 32 pixels .*no attribute 'forward_features'"):
        TimmEncoder("odd", 5, 32)


def test_building_neither_draws_random_numbers_nor_leaves_the_mode(monkeypatch):
    model = Model().train()
    monkeypatch.setattr(timm_adapter, "_create", lambda *_: model)
    before = torch.get_rng_state()
    assert TimmEncoder("odd", 5, 32).training
    assert torch.equal(torch.get_rng_state(), before)
