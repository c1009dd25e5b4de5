from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gated_support import gated, optimised
from gfnet_export.components import components_of
from gfnet_export.onnx.convert import convert
from gfnet_export.onnx.cpu_rewrites import rewrite_for_cpu
from network_support import small_network


def operators(model):
    return [node.op_type for node in model.graph.node]


def outputs(model, inputs):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options).run(None, inputs)


def pixels(shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


@pytest.mark.parametrize("gate", [nn.Hardsigmoid(), nn.Sigmoid()])
@pytest.mark.parametrize("channels", [32, 24])  # of whole blocks, and not
def test_the_rewritten_network_answers_the_same(channels, gate):
    component = gated(channels, gate=gate)
    plain, rewritten = convert(component, for_cpu=False), convert(component)
    assert {"ReduceMean", "Mul"} <= set(operators(plain))
    assert "Resize" not in operators(plain)
    assert {"GlobalAveragePool", "Resize"} <= set(operators(rewritten))
    assert operators(rewritten).count("Mul") == 1  # the gate's; the normalisation's is in the weights
    image = {"image": pixels((1, 3, 16, 16))}
    for ours, theirs in zip(outputs(rewritten, image), outputs(plain, image), strict=True):
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_a_gate_costs_no_copies_between_layouts_any_more(tmp_path):
    component = gated()
    before = optimised(convert(component, for_cpu=False), tmp_path)
    after = optimised(convert(component), tmp_path)
    assert before.count("ReorderInput") == 2
    assert after.count("ReorderInput") == 0
    assert after.count("ReorderOutput") < before.count("ReorderOutput")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["split", "fused"])
def test_steps_of_a_network_answer_the_same(layout):
    for component in components_of(small_network(), layout):
        plain, rewritten = convert(component, for_cpu=False), convert(component)
        rng = np.random.default_rng(1)
        inputs = {
            spec.name: pixels(spec.shape).astype(spec.dtype)
            if spec.name in ("image", "patch", "pixels")
            else rng.random(spec.shape, np.float32)
            for spec in component.inputs
        }
        for ours, theirs in zip(outputs(rewritten, inputs), outputs(plain, inputs), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def model_of(nodes, weights, input_shape, results):
    """A model of image to ``results``: names and shapes."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in results.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, input_shape)],
        values,
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


RNG = np.random.default_rng(0)
CONV = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
FACTOR = RNG.random((1, 3, 1, 1), np.float32)


def test_a_factor_that_something_else_needs_stays():
    nodes = [
        helper.make_node("Mul", ["image", "factor"], ["scaled"], name="mul"),
        helper.make_node("Conv", ["scaled", "weight"], ["out"], name="conv"),
    ]
    model = model_of(
        nodes, {"factor": FACTOR, "weight": CONV}, (1, 3, 8, 8), {"out": (1, 4, 6, 6), "scaled": (1, 3, 8, 8)}
    )
    rewrite_for_cpu(model)
    assert operators(model) == ["Mul", "Conv"]


def test_a_weight_that_two_convolutions_share_is_not_scaled():
    nodes = [
        helper.make_node("Mul", ["factor", "image"], ["scaled"], name="mul"),
        helper.make_node("Conv", ["scaled", "weight"], ["a"], name="conv"),
        helper.make_node("Conv", ["image", "weight"], ["b"], name="other"),
    ]
    shapes = {"a": (1, 4, 6, 6), "b": (1, 4, 6, 6)}
    model = model_of(nodes, {"factor": FACTOR, "weight": CONV}, (1, 3, 8, 8), shapes)
    rewrite_for_cpu(model)
    assert operators(model) == ["Mul", "Conv", "Conv"]


def test_a_factor_on_the_left_is_folded_and_one_for_each_pixel_is_not():
    for shape, left in (((3, 1, 1), 0), ((1, 3, 1, 8), 1), ((1, 1, 1, 1), 1)):
        nodes = [
            helper.make_node("Mul", ["factor", "image"], ["scaled"], name="mul"),
            helper.make_node("Conv", ["scaled", "weight"], ["out"], name="conv"),
        ]
        weights = {"factor": RNG.random(shape, np.float32), "weight": CONV}
        model = model_of(nodes, weights, (1, 3, 8, 8), {"out": (1, 4, 6, 6)})
        image = {"image": pixels((1, 3, 8, 8))}
        (expected,) = outputs(model, image)
        rewrite_for_cpu(model)
        assert operators(model).count("Mul") == left
        assert len(model.graph.initializer) == 1 + left
        np.testing.assert_allclose(outputs(model, image)[0], expected, rtol=1e-4, atol=1e-3)


def test_means_over_other_axes_stay():
    for axes, keepdims in (([1], 1), ([2], 1), ([2, 3], 0)):
        shape = np.zeros((1, 3, 8, 8)).mean(tuple(axes), keepdims=bool(keepdims)).shape
        node = helper.make_node("ReduceMean", ["image", "axes"], ["out"], name="mean", keepdims=keepdims)
        model = model_of([node], {"axes": np.array(axes)}, (1, 3, 8, 8), {"out": shape})
        rewrite_for_cpu(model)
        assert operators(model) == ["ReduceMean"]


def test_negative_axes_are_the_same_axes():
    node = helper.make_node("ReduceMean", ["image", "axes"], ["out"], name="mean")
    model = model_of([node], {"axes": np.array([-1, -2])}, (1, 3, 8, 8), {"out": (1, 3, 1, 1)})
    rewrite_for_cpu(model)
    assert operators(model) == ["GlobalAveragePool"]
    assert not model.graph.initializer
    image = {"image": pixels((1, 3, 8, 8))}
    np.testing.assert_allclose(outputs(model, image)[0], image["image"].mean((2, 3), keepdims=True), rtol=1e-5)


def test_a_mean_without_known_axes_or_shape_stays():
    node = helper.make_node("ReduceMean", ["image"], ["out"], name="mean")
    model = model_of([node], {}, (1, 3, 8, 8), {"out": (1, 1, 1, 1)})
    rewrite_for_cpu(model)
    assert operators(model) == ["ReduceMean"]
    node = helper.make_node("ReduceMean", ["image", "axes"], ["out"], name="mean")
    model = model_of([node], {"axes": np.array([2, 3])}, (1, 3, "h", "w"), {"out": (1, 3, 1, 1)})
    rewrite_for_cpu(model)
    assert operators(model) == ["ReduceMean"]
