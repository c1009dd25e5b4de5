from __future__ import annotations

import pytest
import torch

from gfnet.network.backbones import create_encoder
from gfnet.network.backbones.stochastic import BatchDropout, at_places


def test_single_values_or_whole_rows_are_dropped_and_the_rest_scaled_up():
    torch.manual_seed(0)
    values = BatchDropout(0.25)(torch.ones(200, 50))
    assert values.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert values.mean() == pytest.approx(1, abs=0.03)
    rows = BatchDropout(0.25, whole_rows=True)(torch.ones(2000, 3, 2, 2))
    assert (rows.flatten(1).std(1) == 0).all()
    assert rows.mean() == pytest.approx(1, abs=0.05)


def test_nothing_is_dropped_in_eval_mode_or_at_rate_zero():
    x = torch.randn(4, 5)
    assert BatchDropout(0.5).eval()(x) is x
    assert BatchDropout(0.0)(x) is x


@pytest.mark.parametrize("whole_rows", [False, True])
def test_parts_of_a_batch_meet_the_masks_of_the_whole(whole_rows):
    layer, x = BatchDropout(0.5, whole_rows=whole_rows), torch.randn(10, 6)
    torch.manual_seed(1)
    whole = layer(x)
    for rows in (torch.arange(4), torch.tensor([9, 2, 5])):
        torch.manual_seed(1)
        with at_places(rows, 10):
            assert torch.equal(layer(x[rows]), whole[rows])


def test_an_encoder_s_dropout_and_stochastic_depth_follow_the_places():
    encoder = create_encoder("mobilenetv3_large_100", 5, 64, dropout=0.2, drop_path=0.2)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # it would mix the images
    x, rows = torch.randn(6, 3, 64, 64), torch.tensor([4, 1])
    torch.manual_seed(1)
    _, whole = encoder(x)
    torch.manual_seed(1)
    with at_places(rows, 6):
        _, part = encoder(x[rows])
    torch.testing.assert_close(part, whole[rows], rtol=1e-4, atol=1e-5)  # other batch sizes sum in another order
    torch.manual_seed(1)
    _, alone = encoder(x[rows])
    assert not torch.allclose(alone, whole[rows], atol=1e-2)
