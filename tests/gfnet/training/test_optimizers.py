from __future__ import annotations

import pytest
import torch
from torch.optim import SGD

from gfnet.training.optimizers import leave_fused_where_layouts_differ, rate_factor


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_gradient_in_another_layout_is_not_stepped_fused(layout):
    torch.manual_seed(0)
    results = []
    for fused in (True, False):
        weight = torch.nn.Parameter(torch.arange(72.0).view(2, 4, 3, 3).to(memory_format=torch.channels_last))
        weight.grad = torch.sin(torch.arange(72.0)).view(2, 4, 3, 3).to(memory_format=layout)
        optimizer = SGD([weight], lr=0.1, momentum=0.9, fused=fused)
        leave_fused_where_layouts_differ(optimizer)
        optimizer.step()
        assert optimizer.param_groups[0]["fused"] == (fused and layout == torch.channels_last)
        results.append(weight.detach())
    torch.testing.assert_close(*results)


def test_an_optimiser_that_is_not_fused_any_more_still_steps_under_a_scaler():
    weight = torch.nn.Parameter(torch.ones(2, 4, 3, 3).to(memory_format=torch.channels_last))
    optimizer, scaler = SGD([weight], lr=0.1, fused=True), torch.amp.GradScaler("cpu", init_scale=8.0)
    weight.grad = torch.full((2, 4, 3, 3), 16.0)
    scaler.scale(torch.zeros(()))  # makes the scale
    scaler.unscale_(optimizer)
    leave_fused_where_layouts_differ(optimizer)
    scaler.step(optimizer)
    torch.testing.assert_close(weight.detach(), torch.full((2, 4, 3, 3), 0.8))


def test_the_rate_falls_along_a_cosine_by_epoch_and_the_policy_s_stays():
    assert [rate_factor(1, epoch, 0.5, 4) for epoch in range(4)] == pytest.approx([1, 0.8535534, 0.5, 0.1464466])
    assert rate_factor(2, 3, 0.5, 4) == 1


def test_stage_0_warms_up_and_falls_by_iteration():
    assert rate_factor(0, 0, 0.0, 10) == 0
    assert rate_factor(0, 0, 0.25, 10) == pytest.approx(0.5, rel=0.01)
    assert rate_factor(0, 9, 0.99, 10) < 0.001
