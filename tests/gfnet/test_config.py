from __future__ import annotations

import pytest

from gfnet.config import OFFICIAL_ARCHS, RELEASED, ModelConfig, model_config
from gfnet.errors import ConfigError
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 65}, "steps is 65; use a whole number from 1 to 64"),
        ({"steps": True}, "steps is True; use"),
        ({"patch_size": 10**9}, "patch_size is 1000000000; use a whole number from 1 to 4096"),
        ({"image_size": 96.5}, "image_size is 96.5; use"),
        ({"num_classes": 10**6}, "num_classes is 1000000; use"),
        ({"policy_hidden": 10**6}, "policy_hidden is 1000000; use"),
        ({"crop_ratio": 1e-300}, "crop_ratio is 1e-300; use a number from 0.25 to 1"),
        ({"crop_ratio": "1"}, "crop_ratio is '1'; use"),
        ({"dropout": float("nan")}, "dropout is nan; use"),
        ({"drop_path": None}, "drop_path is None; use"),
        ({"mean": 5}, "mean is 5; use three numbers"),
        ({"mean": (0.0, 0.0, 10**400)}, "mean is .*; use three numbers"),
        ({"std": (1.0, 1.0)}, "std is .*; use three numbers"),
        ({"std": (1.0, 1.0, 0.0)}, "use three numbers above 0"),
        ({"arch": 5}, "arch is 5; use a backbone's name"),
        ({"arch": "x" * 201}, "use a backbone's name"),
        ({"policy": ["conv"]}, "policy is .*conv.*; use one of conv, linear"),
    ],
)
def test_settings_beyond_any_network_are_refused_by_name(change, message):
    with pytest.raises(ConfigError, match=message) as refused:
        ModelConfig.from_dict({"arch": "resnet50", "patch_size": 96, "steps": 5, **change})
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500
