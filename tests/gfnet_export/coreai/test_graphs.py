from __future__ import annotations

import pytest
import torch
from torch import nn

from gfnet.errors import ExportError
from gfnet_export.components import components_of
from gfnet_export.coreai.graphs import compute_in_float16, exported, fold_batch_norms, write_out_averages
from network_support import small_network


def captured(module, example):
    return torch.export.export(module.eval(), (example,)).module(check_guards=False)


def operators(graph):
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


def statistics(norm):
    """A batch norm that has learnt something."""
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(1e-6, 2.0)
    return norm


class TwiceRead(nn.Module):
    """A convolution that two layers read, and a batch norm with none before it."""

    def __init__(self):
        super().__init__()
        self.first, self.conv, self.norm = (
            statistics(nn.BatchNorm2d(4)),
            nn.Conv2d(4, 6, 3),
            statistics(nn.BatchNorm2d(6)),
        )

    def forward(self, x):
        x = self.conv(self.first(x))
        return self.norm(x) + x


@pytest.mark.parametrize(
    ("module", "left"),
    [
        (nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), statistics(nn.BatchNorm2d(6)), nn.ReLU()), 0),
        (nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, padding=1), statistics(nn.BatchNorm2d(6))), 0),
        (nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, affine=False)), 0),
        (TwiceRead(), 2),
    ],
    ids=["without bias", "grouped", "without weights", "read twice"],
)
def test_batch_norms_are_folded(module, left):
    torch.manual_seed(0)
    x = torch.randn(1, 4, 9, 9)
    graph = captured(module, x)
    with torch.no_grad():
        expected = module(x)
        fold_batch_norms(graph)
        found = graph(x)
    assert not [name for name in operators(graph) if "batch_norm" in name]
    assert operators(graph).count("aten.mul.Tensor") == left  # those with no convolution to go into
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("ceiling", [False, True])
@pytest.mark.parametrize("counts_padding", [False, True])
@pytest.mark.parametrize(("size", "window", "stride", "padding"), [(5, 2, 2, 0), (7, 3, 2, 1), (8, 2, 2, 0)])
def test_averages_are_over_whole_windows(size, window, stride, padding, counts_padding, ceiling):
    pool = nn.AvgPool2d(window, stride, padding, ceil_mode=ceiling, count_include_pad=counts_padding)
    x = torch.randn(1, 3, size, size + 1, generator=torch.Generator().manual_seed(0))
    graph = captured(pool, x)
    write_out_averages(graph)
    assert (graph(x) - pool(x)).abs().max() < 1e-6
    beyond_the_edge = bool(padding) or ceiling  # one side of each image is odd
    assert ("aten.constant_pad_nd.default" in operators(graph)) == beyond_the_edge


def test_float16_is_inside_only_and_the_action_stays_exact():
    glance, policy, *_ = components_of(small_network())
    for part in (glance, policy):
        program = exported(part, "fp16")
        results = program.module()(*part.example)
        assert {result.dtype for result in results} == {torch.float32}
        weights = {node.name for node in program.graph.find_nodes(op="placeholder") if node.users}
        exact = {
            spec.target
            for spec in program.graph_signature.input_specs
            if spec.target and spec.arg.name in weights and program.state_dict[spec.target].dtype == torch.float32
        }
        assert exact == ({"policy.actor.0.weight", "policy.actor.0.bias"} if part is policy else set())


def test_the_network_itself_is_left_alone():
    model = small_network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for part in components_of(model)[:2]:
        exported(part, "fp16")
    assert all(value.dtype == before[name].dtype for name, value in model.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_weight_beyond_float16_is_named():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight[0, 0] = 1e5
    with pytest.raises(ExportError, match="weight: has values beyond 65504"):
        compute_in_float16(captured(layer, torch.zeros(1, 3)))
