from __future__ import annotations

import pytest

from gfnet.config import OFFICIAL_ARCHS, RELEASED, model_config
from golden_support import RELEASED_NAMES, manifest, outputs


@pytest.mark.parametrize("arch", OFFICIAL_ARCHS)
def test_family_defaults_are_the_official_settings(arch):
    official = manifest(arch)["config"]
    config = model_config(arch, 96, 3)
    assert config.image_size == official["image_size"]
    assert config.resize_size == int(official["image_size"] / official["crop_pct"])
    assert config.glance_interpolation == official["prime_interpolation"]
    assert (config.policy == "conv") == official["policy_conv"]
    assert config.policy_hidden == official["policy_hidden_dim"]
    assert (config.classifier == "recurrent") == official["fc_rnn"]
    if official["fc_rnn"]:
        assert config.classifier_hidden == official["fc_hidden_dim"]
    # PIL's numbers, which the official code passes to torchvision.
    assert config.interpolation == {2: "bilinear", 3: "bicubic"}[official["dataset_interpolation"]]


@pytest.mark.parametrize("name", [parameter.values[0] for parameter in RELEASED_NAMES])
def test_released_networks_have_the_official_sizes(name):
    recorded = outputs(name)
    config = RELEASED[name]
    assert (config.patch_size, config.steps, config.image_size) == (
        recorded["patch_size"],
        recorded["T"],
        recorded["image_size"],
    )
    assert config.num_classes == recorded["logits"].shape[2]
