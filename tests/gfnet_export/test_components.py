from __future__ import annotations

import pytest
import torch

from gfnet.config import RELEASED, model_config
from gfnet.network.model import GFNet
from gfnet_export.bundle import tensor_names as names
from gfnet_export.components import baseline_component, components_of
from network_support import SMALL, recurrent, small_network

# The graphs multiply by 1/(255 std) where the model divides by 255, then by std.
TOLERANCE = 1e-4


def run(model, pixels, actions):
    """All steps through the components alone, as a runtime would chain them."""
    parts = {(part.role, step): part for part in components_of(model) for step in part.steps}
    state = {names.IMAGE: model.shrink(pixels), names.HIDDEN: torch.zeros(1, model.config.policy_hidden)}
    logits = []
    for step in range(1, model.config.steps + 1):
        if step > 1:
            call(parts["policy", step], state)
            state[names.PATCH] = model.crop(pixels, actions[step - 2])
        call(parts["glance" if step == 1 else "focus", step], state)
        logits.append(state[names.LOGITS])
    return logits


def call(part, state):
    results = part.run(*(state[spec.name] for spec in part.inputs))
    state.update({names.CARRIED.get(name, name): value for name, value in results.items()})


@pytest.mark.parametrize("config", [SMALL, recurrent(), model_config("regnety_600m", 96, 3)], ids=str)
def test_chained_components_equal_the_model(config):
    model = small_network(config)
    pixels = torch.randint(0, 256, (1, 3, config.image_size, config.image_size)).float()
    actions = torch.rand(config.steps - 1, 1, 2)
    images = model.normalise(pixels)
    with torch.no_grad():
        logits, state = model.glance(model.shrink(images))
        expected = [logits]
        for action in actions:
            _, state = model.propose(state)
            logits, state = model.focus(model.crop(images, action), state)
            expected.append(logits)
    for ours, theirs in zip(run(model, pixels, actions), expected, strict=True):
        scale = theirs.abs().max().clamp(min=1)
        torch.testing.assert_close(ours / scale, theirs / scale, atol=TOLERANCE, rtol=0)


def test_a_cascade_has_a_graph_for_each_step_and_a_recurrent_classifier_one():
    assert [part.name for part in components_of(small_network())] == ["glance", "policy", "focus_2", "focus_3"]
    assert [part.name for part in components_of(small_network(recurrent()))] == ["glance", "policy", "focus"]


def test_a_network_of_one_step_is_a_glance_alone():
    config = model_config("test_resnet", 40, 1, num_classes=5)
    assert [part.role for part in components_of(GFNet(config))] == ["glance"]


@pytest.mark.parametrize("config", [RELEASED["mobilenetv3_large_100_p96_T3"], recurrent()], ids=str)
def test_inputs_and_outputs_never_share_a_name(config):
    for part in components_of(GFNet(config)):
        assert not {spec.name for spec in part.inputs} & {spec.name for spec in part.outputs}


def test_the_baseline_sees_the_full_image():
    model = small_network()
    part = baseline_component(model.local_encoder, model.config)
    (image,) = part.example
    assert image.shape == (1, 3, 96, 96)
    with torch.no_grad():
        expected = model.local_encoder.classify(model.local_encoder(model.normalise(image))[1])
        torch.testing.assert_close(part.module(image), expected, atol=TOLERANCE, rtol=1e-4)
