from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from gfnet.config import OFFICIAL_ARCHS, RELEASED, model_config
from gfnet.network.model import GFNet
from golden_support import manifest, manifest_components, meta_model, official_modules

# The official float32 run differs from its float64 twin by up to 3.1e-5; other BLAS builds by a few times that.
LOGITS_ATOL = 2e-4
# Likewise, up to 8.6e-6.
ACTION_ATOL = 5e-5


@pytest.mark.parametrize("config", RELEASED.values(), ids=RELEASED)
def test_every_official_tensor_has_its_place(config):
    model = meta_model(config)
    expected = manifest_components(config.arch, config.patch_size)
    assert expected.keys() == official_modules(model).keys()
    for component, (module, official_key) in official_modules(model).items():
        ours = Counter(
            (official_key(key), tuple(value.shape), str(value.dtype).removeprefix("torch."))
            for key, value in module.state_dict().items()
        )
        assert ours == Counter(expected[component]), component


def test_every_recorded_backbone_and_patch_size_is_covered():
    recorded = {(arch, int(patch)) for arch in OFFICIAL_ARCHS for patch in manifest(arch)["components"]["policy"]}
    assert recorded == {(config.arch, config.patch_size) for config in RELEASED.values()}


@pytest.mark.parametrize("config", RELEASED.values(), ids=RELEASED)
def test_parameters_are_as_many_as_the_official_ones(config):
    model, official = meta_model(config), manifest(config.arch)
    assert _count(model.local_encoder) == _count(model.global_encoder) == official["trainable_parameters"]["model"]
    assert _count(model.classifier) == official["trainable_parameters"]["fc"]
    assert _count(model.policy) == official["policy_trainable_parameters"][str(config.patch_size)]


def _count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_step_gives_the_official_logits(released):
    np.testing.assert_allclose(released.logits, released.expected["logits"], atol=LOGITS_ATOL, rtol=0)


def test_every_proposal_is_the_official_action(released):
    np.testing.assert_allclose(released.actions, released.expected["action"], atol=ACTION_ATOL, rtol=0)


@pytest.fixture(scope="module", params=["recurrent", "cascade"])
def tiny(request) -> GFNet:
    torch.manual_seed(0)
    config = model_config("test_resnet", 32, 3, num_classes=10, image_size=96, classifier=request.param)
    return GFNet(config).eval()


@torch.no_grad()
def test_steps_remember_nothing_but_the_state(tiny):
    images = torch.randn(2, 3, 96, 96)
    _, state = tiny.glance(tiny.shrink(images))
    first_action, _ = tiny.propose(state)
    first_logits, _ = tiny.focus(tiny.crop(images, first_action), state)
    tiny.glance(tiny.shrink(torch.randn(2, 3, 96, 96)))  # another sequence in between
    again_action, _ = tiny.propose(state)
    again_logits, _ = tiny.focus(tiny.crop(images, again_action), state)
    assert torch.equal(first_action, again_action)
    assert torch.equal(first_logits, again_logits)


@torch.no_grad()
def test_selected_images_go_on_as_if_alone(tiny):
    images = torch.randn(4, 3, 96, 96)
    keep = torch.tensor([True, False, False, True])
    _, state = tiny.glance(tiny.shrink(images))
    action, state = tiny.propose(state)
    whole, state_of_all = tiny.focus(tiny.crop(images, action), state)
    part, state_of_part = tiny.focus(tiny.crop(images[keep], action[keep]), state.select(keep))
    # Smaller batches go through other matrix kernels.
    torch.testing.assert_close(part, whole[keep], atol=1e-5, rtol=0)
    next_of_all, _ = tiny.propose(state_of_all)
    next_of_part, _ = tiny.propose(state_of_part)
    torch.testing.assert_close(next_of_part, next_of_all[keep], atol=1e-5, rtol=0)
