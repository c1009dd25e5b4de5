from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from gfnet_export.components import components_of
from gfnet_export.onnx import int8 as onnx_int8
from gfnet_export.onnx.convert import convert
from gfnet_export.onnx.int8 import LAYERS, quantize
from gfnet_export.recorded_inputs import record_inputs
from gfnet_export.runtime.onnx_runtime import open_bundle_sessions
from gfnet_export.verify.report import read_squares


@pytest.fixture(scope="module")
def inputs(onnx_bundle, scenes):
    """What the subgraphs get, over 12 photos."""
    squares, _, _ = read_squares(onnx_bundle.manifest, scenes / "train", 12)
    return record_inputs(onnx_bundle.manifest, open_bundle_sessions(onnx_bundle), squares)


def test_every_subgraph_s_inputs_are_recorded_at_every_step(inputs, onnx_bundle):
    assert {name: len(values) for name, values in inputs.items()} == {
        "glance": 12,
        "policy": 24,
        "focus_2": 12,
        "focus_3": 12,
    }
    for graph in onnx_bundle.manifest.subgraphs:
        for values in inputs[graph.name]:
            assert {name: value.shape for name, value in values.items()} == {s.name: s.shape for s in graph.inputs}
    hidden = [values["hidden"] for values in inputs["policy"]]
    assert not hidden[0].any()
    assert hidden[1].any()
    assert not np.array_equal(inputs["focus_2"][0]["patch"], inputs["focus_2"][1]["patch"])


@pytest.fixture(scope="module")
def parts(checkpoint):
    return {part.name: convert(part) for part in components_of(checkpoint.model)}


def quantized_layers(model):
    """Layers all of whose weights come out of 8 bits."""
    dequantized = {output for node in model.graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    return {node.name for node in model.graph.node if node.op_type in LAYERS and node.input[1] in dequantized}


def all_layers(model):
    return {node.name for node in model.graph.node if node.op_type in LAYERS}


def outputs(model, values):
    session = ort.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(["logits"], dict(value))[0] for value in values])


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_quantised_glance_answers_almost_alike(parts, inputs, monkeypatch, method):
    monkeypatch.setattr(onnx_int8, "NOISE_LIMIT", 1.0)
    model, floating = quantize(parts["glance"], inputs["glance"], method)
    assert floating == ()
    assert quantized_layers(model) == all_layers(parts["glance"])
    assert len(model.SerializeToString()) < 0.4 * len(parts["glance"].SerializeToString())
    expected, found = (outputs(m, inputs["glance"]) for m in (parts["glance"], model))
    noise = np.square(expected - found).mean() / expected.var()
    assert 1e-6 < noise < 0.1
    zero_points = {
        node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2
    }
    kinds = {tensor.data_type for tensor in model.graph.initializer if tensor.name in zero_points}
    assert kinds == {onnx.TensorProto.UINT8}  # signed activations are three times slower on CPUs


def test_scales_are_one_a_channel(parts, inputs, monkeypatch):
    monkeypatch.setattr(onnx_int8, "NOISE_LIMIT", 1.0)
    model, _ = quantize(parts["glance"], inputs["glance"])
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    shapes = [
        (weights[node.input[0]].dims[0], list(weights[node.input[1]].dims))
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and len(weights.get(node.input[0], onnx.TensorProto()).dims) == 4
    ]
    assert len(shapes) > 5
    assert all(scales == [channels] for channels, scales in shapes)


def test_the_policy_s_last_layer_stays_in_float(parts, inputs):
    model, floating = quantize(parts["policy"], inputs["policy"])
    assert "policy.actor.0" in floating
    assert len(all_layers(parts["policy"]) - quantized_layers(model)) == len(floating)


def test_layers_that_hurt_are_found_and_left_in_float(parts, inputs):
    """A layer with one absurd weight a channel, beside which the others vanish in 8 bits."""
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(parts["glance"])
    convolutions = [node for node in spoilt.graph.node if node.op_type == "Conv"]
    victim = convolutions[len(convolutions) // 2]
    (weight,) = [tensor for tensor in spoilt.graph.initializer if tensor.name == victim.input[1]]
    values = onnx.numpy_helper.to_array(weight).copy()
    # An input channel is split in halves that cancel, but for a thousandth: exact in float, gone in 8 bits.
    values[:, 0] = 3e3 * np.abs(values).max()
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    (source,) = [node for node in spoilt.graph.node if victim.input[0] in node.output]
    zeroed = onnx.helper.make_node(
        "Mul", [victim.input[0], "mask"], [f"{victim.input[0]}_masked"], name="mask_first_channel"
    )
    channels = values.shape[1]
    mask = np.ones((1, channels, 1, 1), np.float32)
    mask[0, 0] = 0
    spoilt.graph.initializer.append(onnx.numpy_helper.from_array(mask, "mask"))
    victim.input[0] = zeroed.output[0]
    spoilt.graph.node.insert(list(spoilt.graph.node).index(source) + 1, zeroed)
    model, floating = quantize(spoilt, inputs["glance"])
    assert victim.input[1].removesuffix(".weight").rpartition("model.")[2] in floating
    assert victim.name in all_layers(spoilt) - quantized_layers(model)
    expected, found = (outputs(m, inputs["glance"]) for m in (spoilt, model))
    assert np.square(expected - found).mean() / expected.var() < 0.05


def test_a_model_whose_only_layers_stay_in_float_is_left_alone(parts, inputs, monkeypatch):
    monkeypatch.setattr(onnx_int8, "NOISE_LIMIT", 0.0)
    monkeypatch.setattr(onnx_int8, "_MOST_FLOAT", 1.0)
    model, floating = quantize(parts["policy"], inputs["policy"][:4])
    assert len(floating) == len(all_layers(parts["policy"]))
    assert "QuantizeLinear" not in {node.op_type for node in model.graph.node}
