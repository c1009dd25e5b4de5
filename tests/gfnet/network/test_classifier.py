from __future__ import annotations

import numpy as np
import pytest
import torch

from gfnet.config import OFFICIAL_ARCHS, model_config
from gfnet.network.classifier import create_classifier
from golden_inputs import classifier_features
from golden_support import case, fill_module, manifest

STEPS = 5  # as many as the official code has heads for
# Logits of order 1 to 10 from up to 7680 float32 products, in any order of summation.
LOGITS_ATOL = 2e-4
# 1000 such logits.
SUM_ATOL = 5e-3


@pytest.mark.parametrize("arch", OFFICIAL_ARCHS)
@torch.no_grad()
def test_five_steps_give_the_official_logits(arch):
    feature_dim = manifest(arch)["config"]["feature_num"]
    expected = case("fc_heads", f"{arch}_")
    with torch.device("meta"):
        classifier = create_classifier(model_config(arch, 96, STEPS), feature_dim)
    fill_module(classifier, "fc")
    memory, all_logits = None, []
    for feature in torch.from_numpy(classifier_features(feature_dim)):
        logits, memory = classifier(feature, memory)
        all_logits.append(logits)
    assert (all_logits[0] is None) == expected["first_is_none"]
    logits = torch.stack([values for values in all_logits if values is not None])
    np.testing.assert_allclose(logits[:, :, :32], expected["logits_first32"], atol=LOGITS_ATOL, rtol=0)
    np.testing.assert_allclose(logits.double().sum(2), expected["logits_sum"], atol=SUM_ATOL, rtol=0)
    np.testing.assert_allclose(logits.double().abs().sum(2), expected["logits_abs_sum"], atol=SUM_ATOL, rtol=0)


def test_cascade_keeps_the_official_heads_and_adds_more_for_longer_sequences():
    short = create_classifier(model_config("mobilenetv3_large_100", 96, 3, num_classes=10), 4)
    long = create_classifier(model_config("mobilenetv3_large_100", 96, 7, num_classes=10), 4)
    assert [name for name, _ in short.named_children()] == ["fc_2", "fc_3", "fc_4", "fc_5"]
    assert [name for name, _ in long.named_children()] == [f"fc_{step}" for step in range(2, 8)]
    assert [head.weight.requires_grad for head in short.children()] == [True, True, False, False]


@torch.no_grad()
def test_a_cascade_may_start_as_the_mean_of_the_encoders_answers():
    classifier = create_classifier(model_config("mobilenetv3_large_100", 96, 3, num_classes=5), 4)
    glance, focus = torch.nn.Linear(4, 5), torch.nn.Linear(4, 5)
    untouched = classifier.get_submodule("fc_4").weight.clone()
    classifier.start_as_mean(glance, focus)
    features = torch.randn(3, 2, 4)
    memory, means = None, torch.stack([glance(features[0]), focus(features[1]), focus(features[2])]).cumsum(0)
    for step, feature in enumerate(features):
        logits, memory = classifier(feature, memory)
        if step:
            torch.testing.assert_close(logits, means[step] / (step + 1))
    assert torch.equal(classifier.get_submodule("fc_4").weight, untouched)
