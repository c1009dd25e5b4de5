from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gfnet.errors import ExportError
from gfnet.network.model import GFNet
from gfnet_export.bundle.manifest import TensorSpec
from gfnet_export.components import Component, components_of
from gfnet_export.onnx.convert import OPSET, convert, save
from network_support import SMALL, slow, small_network


@pytest.fixture(scope="module")
def glance():
    return components_of(small_network())[0]


@pytest.fixture(scope="module")
def model(glance):
    return convert(glance, metadata={"role": "glance", "labels": "größer"})


def operators(model):
    return {node.op_type for node in model.graph.node}


def test_batch_norms_and_constants_are_folded(model):
    assert "BatchNormalization" not in operators(model)
    produced = {output for node in model.graph.node for output in node.output}
    for node in model.graph.node:  # nothing that could have been computed beforehand is left
        assert set(node.input) & (produced | {"image"}), node


def test_a_model_says_what_it_is(model, glance):
    assert model.graph.name == "glance"
    assert model.doc_string == glance.description
    assert model.producer_name == "gfnet"
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told == {"role": "glance", "labels": "größer"}
    for value in (*model.graph.input, *model.graph.output):
        assert value.doc_string
        assert all(dimension.dim_value > 0 for dimension in value.type.tensor_type.shape.dim)  # nothing dynamic


def test_one_file_and_no_other(glance, tmp_path):
    save(convert(glance), tmp_path / "glance.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["glance.onnx"]
    assert onnx.load(tmp_path / "glance.onnx", load_external_data=False).graph.initializer[0].raw_data


@pytest.mark.parametrize("opset", [slow(OPSET), 21])
def test_the_opset_is_the_one_asked_for(glance, opset):
    assert [entry.version for entry in convert(glance, opset).opset_import] == [opset]


def test_an_opset_that_the_exporter_cannot_write_is_refused(glance):
    with pytest.raises(ExportError, match="opset 13 cannot be written, the exporter gives 18; choose another"):
        convert(glance, 13)


class _Unconvertible(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(x).real


def test_an_operation_without_onnx_form_is_one_clear_error(capfd):
    spec = TensorSpec(name="image", shape=(3, 3), dtype="float32")
    component = Component("odd", "glance", (1,), "", _Unconvertible(), (spec,), (spec,), (torch.eye(3),))
    with pytest.raises(ExportError, match="odd: ONNX export failed") as caught:
        convert(component)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_fused_step_crops_what_its_own_action_points_at():
    network = GFNet(SMALL).eval()
    with torch.no_grad():
        network.policy.actor[0].weight.mul_(30)
    step = components_of(network, "fused")[1]
    photo = torch.randint(0, 256, (1, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = {part.name: part for part in components_of(network)}
    memory = torch.rand(step.inputs[3].shape)
    seen = set()
    for seed in range(8):
        torch.manual_seed(seed)
        feature_map, hidden = torch.randn(step.inputs[1].shape), torch.randn(step.inputs[2].shape)
        ours = step.run(photo, feature_map, hidden, memory)
        proposed = split["policy"].run(feature_map, hidden)
        torch.testing.assert_close(ours["action"], proposed["action"])
        row, col = np.floor(proposed["action"][0].numpy() * np.float32(96 - 40)).astype(int)
        seen.add((row, col))
        patch = photo[:, row : row + 40, col : col + 40].permute(0, 3, 1, 2).float()
        wanted = split["focus_2"].run(patch, memory)
        torch.testing.assert_close(ours["logits"], wanted["logits"])
        torch.testing.assert_close(ours["new_feature_map"], wanted["feature_map"])
    assert len(seen) > 4
