"""The official backbones behind the encoder contract."""

from __future__ import annotations

import numpy as np

# Float32 sums over up to 30,000 values of one sign; the official run itself is off by up to 1e-6 of float64.
SUM_RTOL = 1e-4
# The official float32 run differs from its float64 twin by up to 3e-5 on values of order 1 to 10.
VALUE_ATOL = 2e-4
# Sums of 1000 logits of either sign: rounding of single logits adds up while their sum cancels.
SIGNED_SUM_ATOL = 5e-3


def test_feature_is_the_official_pooled_feature(released):
    np.testing.assert_allclose(released.features[:, :, :16], released.expected["feat_first16"], atol=VALUE_ATOL, rtol=0)
    np.testing.assert_allclose(released.features.double().sum(2), released.expected["feat_sum"], rtol=SUM_RTOL)


def test_feature_map_is_the_official_one(released):
    expected = released.expected
    for step, feature_map in enumerate(released.feature_maps):
        assert feature_map.shape[1:] == tuple(expected["fmap_shape"])
        first = feature_map.flatten(1)[:, :8]
        np.testing.assert_allclose(first, expected["fmap_first8"][step], atol=VALUE_ATOL, rtol=0)
        np.testing.assert_allclose(feature_map.double().sum((1, 2, 3)), expected["fmap_sum"][step], rtol=SUM_RTOL)


def test_own_head_gives_the_official_logits(released):
    expected = released.expected
    np.testing.assert_allclose(released.encoder_logits[:, :, :16], expected["dsn_first16"], atol=VALUE_ATOL, rtol=0)
    np.testing.assert_allclose(
        released.encoder_logits.double().sum(2), expected["dsn_sum"], atol=SIGNED_SUM_ATOL, rtol=0
    )


def test_shapes_are_known_before_the_first_image(released):
    encoder = released.model.local_encoder
    assert encoder.map_shape == tuple(released.expected["fmap_shape"])
    assert encoder.feature_dim == released.features.shape[2]
