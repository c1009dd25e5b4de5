"""Rewrites after which ONNX Runtime does less on a CPU; the numbers stay the same, but for rounding.

Its convolutions keep channels in blocks of 16, and whatever it cannot do on such blocks costs a copy out of them and
another one back.  In squeeze-and-excite both the mean and the product did.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from gfnet_export.onnx.graph import Graph, add_weight, attributes_of, replace_nodes

_GATES = ("HardSigmoid", "Sigmoid")


def rewrite_for_cpu(model: onnx.ModelProto) -> None:
    """Rewrite a model in place.

    Every rewrite is plain ONNX and changes outputs by rounding only, some 1e-6 of their largest value:

    - a factor for each channel in front of a convolution goes into its weights (the images' normalisation);
    - a mean over a map is written as global average pooling;
    - a gate of one number a channel (squeeze-and-excite) is spread over the map before it is multiplied with it.

    Not for a model that is to become fp16 or int8: there the first costs precision, and the last time.

    Args:
        model: in fp32, with the shapes of all values.
    """
    for rewrite in _REWRITES:
        rewrite(Graph(model))


def _fold_factors(graph: Graph) -> None:
    """Multiply a convolution's weights instead of its input."""
    dropped = {}
    for node in graph.model.graph.node:
        if node.op_type != "Mul" or not graph.used_once(node.output[0]):
            continue
        value, factor = node.input if node.input[1] in graph.weights else reversed(node.input)
        (conv,) = graph.users[node.output[0]]
        weight = conv.input[1] if conv.op_type == "Conv" and conv.input[0] == node.output[0] else ""
        if factor not in graph.weights or weight not in graph.weights or not graph.used_once(weight):
            continue
        channels = graph.shapes[weight][1]
        if graph.shapes[factor] in ((1, channels, 1, 1), (channels, 1, 1)):  # false where there are groups
            product = graph.array(weight) * graph.array(factor).reshape(1, channels, 1, 1)
            graph.weights[weight].CopyFrom(numpy_helper.from_array(product, weight))
            conv.input[0] = value
            dropped[node.name] = ()
    replace_nodes(graph.model, dropped)


def _pool(graph: Graph) -> None:
    """Write means over maps as pooling, which ONNX Runtime does on blocks."""
    for node in graph.model.graph.node:
        if node.op_type != "ReduceMean" or not graph.is_map(node.input[0]):
            continue
        attributes = attributes_of(node)
        axes = graph.array(node.input[1]).tolist() if node.input[1:] and node.input[1] in graph.weights else []
        if sorted(axis % 4 for axis in axes) == [2, 3] and attributes.get("keepdims", 1):
            node.op_type = "GlobalAveragePool"
            del node.input[1:], node.attribute[:]
    replace_nodes(graph.model, {})


def _spread(graph: Graph) -> None:
    """Enlarge gates to their maps: ONNX Runtime multiplies blocks of equal shapes only."""
    replaced = {}
    for node in graph.model.graph.node:
        if node.op_type != "Mul":
            continue
        spread, gate = node.input if graph.is_map(node.input[0]) else reversed(node.input)
        maker = graph.makers.get(gate)
        if not graph.is_map(spread) or not graph.is_vector(gate) or maker is None or maker.op_type not in _GATES:
            continue
        before = graph.makers.get(maker.input[0])
        channels, height, width = graph.shapes[spread][1:]
        if before is None or before.op_type != "Conv" or graph.shapes[gate] != (1, channels, 1, 1):
            continue
        scales = add_weight(graph.model, f"{node.name}_scales", np.array([1, 1, height, width], np.float32))
        large = f"{gate}_spread_{node.name}"
        resize = helper.make_node(
            "Resize",
            [gate, "", scales],
            [large],
            name=f"{node.name}_spread",
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
        graph.model.graph.value_info.append(
            helper.make_tensor_value_info(large, onnx.TensorProto.FLOAT, graph.shapes[spread])
        )
        node.input[:] = [spread, large]
        replaced[node.name] = (resize, node)
    replace_nodes(graph.model, replaced)


_REWRITES: tuple[Callable[[Graph], None], ...] = (_fold_factors, _pool, _spread)
