from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from gated_support import gated, optimised
from gfnet.config import ModelConfig
from gfnet.errors import ExportError
from gfnet_export.choices import Layout
from gfnet_export.components import Component, components_of
from gfnet_export.onnx.convert import convert
from gfnet_export.onnx.precision import (
    SMALLEST_MATRIX,
    action_nodes,
    large_heads,
    large_vectors,
    policy_nodes,
    quantize_vectors,
    store_in_8_bits,
    to_fp16,
)
from network_support import SMALL, recurrent, slow, small_network

WIDE = dataclasses.replace(SMALL, num_classes=400)  # 96 features and 400 classes: large enough heads


@cache
def _exported(config: ModelConfig, layout: Layout, index: int) -> tuple[Component, bytes]:
    component = components_of(small_network(config), layout)[index]
    return component, convert(component).SerializeToString()


def part(index: int, config: ModelConfig = WIDE, layout: Layout = "split") -> tuple[Component, onnx.ModelProto]:
    """A part of a small network and its graph in fp32: exported once, and each test alters a graph of its own."""
    component, content = _exported(config, layout, index)
    return component, onnx.load_model_from_string(content)


def parts(config: ModelConfig = WIDE, layout: Layout = "split") -> Iterator[tuple[Component, onnx.ModelProto]]:
    """All of them."""
    return (part(index, config, layout) for index in range(len(components_of(small_network(config), layout))))


def results(model, component, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = {
        spec.name: torch.randint(0, 256, spec.shape, generator=generator).to(getattr(torch, spec.dtype))
        if spec.name in ("image", "patch", "pixels")
        else torch.rand(spec.shape, generator=generator)
        for spec in component.inputs
    }
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options)
    found = session.run(None, {name: value.numpy() for name, value in values.items()})
    ours = dict(zip([output.name for output in session.get_outputs()], found, strict=True))
    return ours, {name: value.numpy() for name, value in component.run(*values.values()).items()}


def relative(ours, theirs):
    return {name: float(np.abs(ours[name] - theirs[name]).max() / np.abs(theirs[name]).max()) for name in theirs}


@pytest.mark.parametrize("layout", ["split", slow("fused")])
def test_fp16_halves_the_weights_and_keeps_the_borders(layout):
    for component, whole in parts(layout=layout):
        size = len(whole.SerializeToString())
        half = to_fp16(whole)
        assert len(half.SerializeToString()) < 0.55 * size
        for value in (*half.graph.input, *half.graph.output):
            assert value.type.tensor_type.elem_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8)
        ours, theirs = results(half, component)
        if layout == "fused" and component.role == "step":  # other rounding may look elsewhere
            ours, theirs = ({"action": values["action"]} for values in (ours, theirs))
        found = relative(ours, theirs)
        assert 1e-6 < max(found.values()) < 0.02, (component.name, found)


@pytest.mark.parametrize("layout", ["split", "fused"])
def test_the_action_is_computed_in_fp32(layout):
    _, whole = part(1, layout=layout)
    half = to_fp16(whole)
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in onnx.shape_inference.infer_shapes(half).graph.value_info
    }
    chain = [node for node in half.graph.node if node.name in action_nodes(half)]
    assert {"Gemm", "Sigmoid"} <= {node.op_type for node in chain}
    assert ({"Mul", "Floor"} <= {node.op_type for node in chain}) == (layout == "fused")
    weights = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    for node in chain:
        for name in node.input:
            assert types.get(name, weights.get(name, onnx.TensorProto.FLOAT)) == onnx.TensorProto.FLOAT


def test_only_large_classifiers_are_heads():
    found = {component.name: len(large_heads(model)) for component, model in parts()}
    assert found == {"glance": 1, "policy": 0, "focus_2": 1, "focus_3": 1}
    component, model = part(1, layout="fused")
    assert component.name == "step_2"
    assert len(large_heads(model)) == 1  # not the policy's layer, though it has 196,608 weights
    _, small = part(0, SMALL)
    assert large_heads(small) == []
    assert quantize_vectors(small, []) is small


def test_a_recurrent_classifier_s_gates_are_heads_too():
    config = dataclasses.replace(recurrent(WIDE), classifier_hidden=256)
    focus = convert(components_of(small_network(config))[2])
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in focus.graph.initializer}
    heads = [node for node in focus.graph.node if node.name in large_heads(focus)]
    assert sorted(sizes[node.input[1]] for node in heads) == [3 * 256 * 96, 256 * 400, 3 * 256 * 256]
    assert all(sizes[node.input[1]] >= SMALLEST_MATRIX for node in heads)


def test_heads_of_8_bits_answer_almost_alike_and_nothing_else_changes():
    component, whole = part(0)
    size = len(whole.SerializeToString())
    small = quantize_vectors(whole, large_heads(whole))
    assert [node.op_type for node in small.graph.node].count("MatMulNBits") == 1
    assert size - len(small.SerializeToString()) > 2.5 * 96 * 400  # of 4 bytes each, less the scales
    found = relative(*results(small, component))
    assert 1e-5 < found["logits"] < 0.02
    assert max(found["feature_map"], found["new_memory"]) < 1e-5


@pytest.mark.parametrize("layout", ["split", "fused"])
def test_the_policy_s_layers_are_never_in_8_bits(layout):
    _, whole = part(1, layout=layout)
    policy = policy_nodes(whole)
    layers = [node.name for node in whole.graph.node if node.op_type == "Gemm"]
    assert len([name for name in layers if name in policy]) == 4  # the last one gives the action
    assert set(action_nodes(whole)) <= set(policy)
    assert not set(policy) & set(large_vectors(whole))
    assert len(large_vectors(whole)) == (layout == "fused")  # the step's classifier
    if layout == "split":
        assert policy == [node.name for node in whole.graph.node]


def test_layers_on_one_vector_are_the_heads_and_gates():
    gates = convert(gated(256, 128))
    assert len(large_vectors(gates)) == 2
    assert large_heads(gates) == []  # what depends on them is a map
    assert large_vectors(convert(gated(256, 127))) == []


@pytest.mark.parametrize("gate", [nn.Hardsigmoid(), nn.Sigmoid()])
def test_gates_of_8_bits_answer_almost_alike(gate):
    component = gated(300, 140, gate)  # of no whole blocks
    whole = convert(component)
    size = len(whole.SerializeToString())
    small = quantize_vectors(whole, large_vectors(whole))
    assert [node.op_type for node in small.graph.node].count("MatMulNBits") == 2
    assert len(small.SerializeToString()) < 0.5 * size
    found = relative(*results(small, component))
    assert 1e-4 < max(found.values()) < 0.02


def test_gates_of_8_bits_cost_no_copies_of_maps(tmp_path):
    whole = convert(gated(256, 128))
    before = optimised(whole, tmp_path)
    after = optimised(quantize_vectors(whole, large_vectors(whole)), tmp_path)
    assert after.count("ReorderInput") == before.count("ReorderInput") + 1  # the gate's own numbers
    assert after.count("ReorderOutput") == before.count("ReorderOutput") + 1
    assert "Transpose" not in after


def test_a_layer_without_bias_and_a_matrix_the_other_way_round_are_quantized_too():
    rng = np.random.default_rng(0)
    matrix, bias = rng.standard_normal((200, 180)).astype(np.float32), rng.standard_normal(180).astype(np.float32)
    for transposed in (0, 1):
        for inputs in (["x", "matrix"], ["x", "matrix", "bias"]):
            value = matrix.T if transposed else matrix
            weights = {"matrix": np.ascontiguousarray(value), "bias": bias}
            graph = onnx.helper.make_graph(
                [onnx.helper.make_node("Gemm", inputs, ["y"], name="layer", transB=transposed)],
                "g",
                [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 200))],
                [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 180))],
                [onnx.numpy_helper.from_array(weights[name], name) for name in inputs[1:]],
            )
            model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
            assert large_vectors(model) == ["layer"]
            x = rng.standard_normal((1, 200)).astype(np.float32)
            quantized = quantize_vectors(model, ["layer"])
            (found,) = ort.InferenceSession(quantized.SerializeToString()).run(None, {"x": x})
            expected = x @ matrix + (bias if len(inputs) > 2 else 0)
            assert 1e-4 < np.abs(found - expected).max() / np.abs(expected).max() < 0.02


def test_the_action_s_weights_are_not_rounded_either():
    component, whole = part(1)
    half = to_fp16(whole)
    (weight,) = [tensor for tensor in half.graph.initializer if tensor.name == "policy.actor.0.weight"]
    expected = component.module.policy.actor[0].weight.detach().numpy()
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weight), expected)
    ours, _ = results(half, component)
    assert not np.array_equal(ours["action"], ours["action"].astype(np.float16))


def test_a_weight_that_fp16_cannot_hold_is_named():
    component = components_of(small_network())[0]
    with torch.no_grad():
        component.module.model.global_encoder.net.conv1[0].weight[0, 0, 0, 0] = 1e8
    with pytest.raises(ExportError, match=r"conv1.*: has a weight of .*, more than fp16 holds; export it in fp32"):
        to_fp16(convert(component))


@pytest.mark.parametrize("layout", ["split", slow("fused")])
@pytest.mark.parametrize("config", [WIDE, slow(recurrent(WIDE))], ids=["cascade", "recurrent"])
def test_weights_stored_in_8_bits_are_a_quarter_as_large_and_run_as_in_fp32(layout, config, tmp_path):
    for component, whole in parts(config, layout):
        size = len(whole.SerializeToString())
        stored = store_in_8_bits(copy.deepcopy(whole))
        assert len(stored.SerializeToString()) < 0.4 * size
        # ONNX Runtime makes the weights of them when it loads the file: what runs is the same.
        assert optimised(stored, tmp_path) == optimised(whole, tmp_path)
        ours, theirs = results(stored, component)
        if layout == "fused" and component.role == "step":  # other weights may look elsewhere
            ours, theirs = ({"action": values["action"]} for values in (ours, theirs))
        found = relative(ours, theirs)
        assert 1e-6 < max(found.values()) < 0.3, (component.name, found)


def test_stored_integers_keep_the_sum_of_what_an_output_reads():
    _, model = part(0)
    whole = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    model = store_in_8_bits(model)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kinds = {node.input[1]: node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    names = [name.removesuffix("_8_bits") for name in tensors if name.endswith("_8_bits")]
    assert len(names) > 5
    for name in names:
        axis = (
            0 if kinds[name].op_type == "Conv" or 1 in [a.i for a in kinds[name].attribute if a.name == "transB"] else 1
        )
        integers, scales = (np.moveaxis(tensors[f"{name}_{part}"], axis, 0) for part in ("8_bits", "scales"))
        wanted = np.moveaxis(whole[name], axis, 0)
        others = tuple(range(1, wanted.ndim))
        assert integers.dtype == np.int8
        assert scales.size == len(wanted)
        off = (integers * scales - wanted).sum(axis=others) / scales.reshape(-1)
        assert np.abs(off).max() < 0.51
        assert np.abs(integers * scales - wanted).max() < 1.5 * scales.max()


def test_a_network_without_large_layers_is_refused():
    _, model = part(1)
    for tensor in list(model.graph.initializer):
        if np.prod(tensor.dims) >= 1024:
            model.graph.initializer.remove(tensor)
    with pytest.raises(ExportError, match="no layer here has 1024 weights or more; export it as fp32"):
        store_in_8_bits(model)
