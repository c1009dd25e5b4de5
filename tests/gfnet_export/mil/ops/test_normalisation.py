from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gfnet_export.mil.ops import OPS
from mil_support import check, compute, tensors

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
Y = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
POSITIVE = np.abs(X) + 0.1

FOLDED = {
    "all but the batch": (
        "layer_norm",
        {"x": X, "axes": [1, 2], "gamma": Y[0], "beta": Y[1], "epsilon": np.float32(0.01)},
    ),
    "the last axis": ("layer_norm", {"x": X, "axes": [-1], "gamma": Y[0, 0]}),
    "channels": ("layer_norm", {"x": X, "axes": [-2], "gamma": Y[0, :, 0], "beta": Y[1, :, 0]}),
    "norm": ("l2_norm", {"x": X}),
    "norm of each": ("l2_norm", {"x": X[:, None], "epsilon": np.float32(0.1)}),
}


@pytest.mark.parametrize(("kind", "parameters"), FOLDED.values(), ids=FOLDED.keys())
def test_norms_are_what_coremltools_folds(kind, parameters):
    check(kind, parameters)


def test_batch_norm_by_hand():
    x, mean, variance = X[:, :, None], X[0, :, 0], POSITIVE[0, :, 0]
    gamma, beta = Y[0, :, 0], Y[1, :, 0]
    found = OPS["batch_norm"](
        **tensors({"x": x, "mean": mean, "variance": variance, "gamma": gamma, "beta": beta, "epsilon": 0.01})
    )
    by_channel = [values[:, None, None] for values in (mean, variance, gamma, beta)]
    expected = (x - by_channel[0]) / np.sqrt(by_channel[1] + 0.01) * by_channel[2] + by_channel[3]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_an_instance_has_its_own_mean():
    x = X[None].transpose(1, 2, 3, 0)
    gamma, beta = Y[0, :, 0], Y[1, :, 0]
    expected = F.instance_norm(
        *map(torch.from_numpy, (x,)), weight=torch.tensor(gamma), bias=torch.tensor(beta), eps=0.1
    )
    found = compute("instance_norm", x=x, gamma=gamma, beta=beta, epsilon=0.1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_neighbouring_channels_damp_each_other():
    found = compute("local_response_norm", x=X, size=3, alpha=0.5, beta=0.6, k=2.0)
    sums = sum(np.pad(X**2, ((0, 0), (1, 1), (0, 0)))[:, place : place + 6] for place in range(3))
    np.testing.assert_allclose(found, X / (2 + 0.5 / 3 * sums) ** 0.6, rtol=1e-5)
