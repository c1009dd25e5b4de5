"""ONNX models with fewer bits that need no calibration: fp16, 8 bits for layers on one vector, 8 bits on disk."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from gfnet.errors import ExportError
from gfnet_export.bundle import tensor_names as names
from gfnet_export.onnx.graph import Graph, add_weight, attributes_of, replace_nodes
from gfnet_export.quiet import quietly

with quietly():
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

_BLOCK = 128  # weights that share a scale; with fewer ONNX Runtime is up to 1.4 times slower
_INT8_PRODUCTS = 4
"""``accuracy_level``: ONNX Runtime rounds what such a layer reads to 8 bits too, and multiplies bytes.

With 0, which rounds weights alone, a network took 2.1 to 2.5 times as long as in fp32, and with 4 0.8 times.  There
would be no reason for the form; what it costs in decisions is in ``docs/results/exports.md``.
"""
SMALLEST_MATRIX = 2**15
"""Weights of a layer below which memory traffic is nothing."""
_SMALLEST_STORED = 1024  # weights of a layer; biases and small layers stay float32, they are 2 % of a file
_LARGEST_STORED = 127
_STEPS = 14
"""Integers to a standard deviation of a large layer's weights.

Such integers hold about six bits of information, so a zip file, as a wheel is one, packs eight bits into six.

`groceries`, zipped, and its mean accuracy over 39 budgets on 1,526 photos (float32: 63.62 %): 14 steps 10.9 MB,
63.32 %; 16 steps 11.2 MB, 63.22 %; all of the eight bits 13.2 MB, 63.5 %.  Chance is about 0.3 points of each.
"""


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with weights and activations of 16 bits; inputs and outputs keep their types.

    The action, and the origin that is made of it, stay in 32 bits, so that every runtime floors the same number.

    Raises:
        ExportError: a weight is larger than 16 bits can say.
    """
    floats = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, tensor in floats.items():
        largest = float(np.abs(numpy_helper.to_array(tensor)).max(initial=0))
        if tensor.data_type == onnx.TensorProto.FLOAT and largest > float(np.finfo(np.float16).max):
            raise ExportError(f"{name}: has a weight of {largest:.3g}, more than fp16 holds; export it in fp32")
    kept = action_nodes(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights below 6e-8 become that
        converted = convert_float_to_float16(copy.deepcopy(model), keep_io_types=True, node_block_list=kept)
    _never_round(converted, kept, floats)
    ordered = ONNXModel(converted)
    ordered.topological_sort()  # the converter puts its casts last
    del ordered.model.graph.value_info[:]  # and leaves types that were
    onnx.checker.check_model(ordered.model, full_check=True)
    return ordered.model


def _never_round(model: onnx.ModelProto, kept: Sequence[str], floats: Mapping[str, onnx.TensorProto]) -> None:
    """Take back the roundings between nodes in 32 bits, which the converter puts there: to 16 bits, and back.

    Args:
        kept: names of the nodes in 32 bits.
        floats: weights as they were.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Cast" or helper.get_node_attr_value(node, "to") != onnx.TensorProto.FLOAT:
            continue
        (source,) = node.input
        if source in weights and any(user.name in kept and node.output[0] in user.input for user in model.graph.node):
            weights[source].CopyFrom(floats[source])
        elif source in makers and makers[source].op_type == "Cast":
            first = makers[source].input[0]
            if first not in makers or makers[first].name not in kept:
                continue
            node.input[0] = first
        else:
            continue
        node.op_type = "Identity"
        del node.attribute[:]


def action_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes from the policy's last layer to the patch's origin; none where there is no policy."""
    makers = {output: node for node in model.graph.node for output in node.output}
    if names.ACTION not in makers:
        return []
    layer = makers[names.ACTION]
    while layer.op_type not in ("Gemm", "MatMul"):
        layer = next(makers[name] for name in layer.input if name in makers)
    chain, reached = [layer.name], set(layer.output)
    for node in model.graph.node:  # in the order in which they run
        if reached & set(node.input) and node.op_type in ("Sigmoid", "Mul", "Floor", "Cast", "Identity"):
            chain.append(node.name)
            reached.update(node.output)
    return chain


def policy_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of all nodes of the policy, and of those that make the patch's origin of its action.

    Where anything else has 8 bits they keep fp32: of 508 patches on photos 37 moved, and 88 with the policy in 8 bits.
    In 16 bits that is not worth its size: 30 moved in place of 32 (:func:`action_nodes` suffice).
    """
    needed = {names.ACTION}
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
    after = action_nodes(model)
    return [node.name for node in model.graph.node if node.name in after or needed & set(node.output)]


def large_vectors(model: onnx.ModelProto) -> list[str]:
    """Names of the layers that multiply one vector with :data:`SMALLEST_MATRIX` weights or more.

    They are classifiers and squeeze-and-excite; those of the policy do not count, see :func:`policy_nodes`.
    """
    graph, kept = Graph(model), policy_nodes(model)
    return [
        node.name
        for node in model.graph.node
        if node.name not in kept and _takes_vector(graph, node) and graph.array(node.input[1]).size >= SMALLEST_MATRIX
    ]


def large_heads(model: onnx.ModelProto) -> list[str]:
    """Those of :func:`large_vectors` after which there are no maps any more: what only the answer depends on."""
    graph, large = Graph(model), large_vectors(model)
    return [node.name for node in model.graph.node if node.name in large and _is_classifier(graph, node)]


def quantize_vectors(model: onnx.ModelProto, layers: Sequence[str]) -> onnx.ModelProto:
    """The same network with the weights of some layers in 8 bits, a scale for each 128.

    At a batch of one the matrix of such a layer is read whole for each image: it costs memory traffic, not arithmetic.
    The operator, ``MatMulNBits``, is ONNX Runtime's, which also rounds what these layers read to 8 bits, vector by
    vector; OpenVINO runs it too, and rounds the weights alone.  Changes ``model``.

    Args:
        layers: names; see :func:`large_vectors` and :func:`large_heads`.
    """
    if not layers:
        return model
    graph = Graph(model)
    replace_nodes(model, {node.name: _in_8_bits(graph, node) for node in list(model.graph.node) if node.name in layers})
    model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    onnx.checker.check_model(model)
    return model


_MICROSOFT = "com.microsoft"


def store_in_8_bits(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with its large weights stored as 8-bit integers, one scale for each output channel.

    A cast and a product make float32 weights of them, both of which ONNX Runtime computes once, when it loads the file:
    it then runs as fast as in fp32.  (``DequantizeLinear`` would be kept, and computed for each image.)  Changes
    ``model``.

    Raises:
        ExportError: no weight is large enough.
    """
    stored: dict[str, list[onnx.NodeProto]] = {}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        name = node.input[1] if node.op_type in ("Conv", "Gemm", "MatMul") else ""
        if name in weights and name not in stored and _is_worth_storing(weights[name]):
            stored[name] = _store(model, weights[name], _output_axis(node))
    if not stored:
        raise ExportError(f"no layer here has {_SMALLEST_STORED} weights or more; export it as fp32")
    nodes = [*(node for pair in stored.values() for node in pair), *model.graph.node]
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in stored]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return model


def _is_worth_storing(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_type == onnx.TensorProto.FLOAT and math.prod(tensor.dims) >= _SMALLEST_STORED)


def _output_axis(node: onnx.NodeProto) -> int:
    """The axis of a layer's weight along which its outputs lie."""
    if node.op_type == "Conv" or attributes_of(node).get("transB"):
        return 0
    return -1


def _store(model: onnx.ModelProto, tensor: onnx.TensorProto, axis: int) -> list[onnx.NodeProto]:
    """Add a weight's integers and scales; what makes the weight of them again."""
    values, name = np.moveaxis(numpy_helper.to_array(tensor), axis, 0), tensor.name
    rows = values.reshape(len(values), -1)
    scales = np.abs(rows).max(axis=1, keepdims=True) / _LARGEST_STORED
    if rows.size >= SMALLEST_MATRIX:
        scales = np.maximum(scales, rows.std(axis=1, keepdims=True) / _STEPS)
    scales[scales == 0] = 1
    whole = np.moveaxis(_rounded(rows / scales).reshape(values.shape), 0, axis)
    factors = np.moveaxis(scales.reshape(-1, *[1] * (values.ndim - 1)), 0, axis)
    integers = add_weight(model, f"{name}_8_bits", whole.astype(np.int8))
    return [
        helper.make_node("Cast", [integers], [f"{name}_float"], name=f"{name}_cast", to=onnx.TensorProto.FLOAT),
        helper.make_node(
            "Mul", [f"{name}_float", add_weight(model, f"{name}_scales", factors)], [name], name=f"{name}_scale"
        ),
    ]


def _rounded(rows: np.ndarray) -> np.ndarray:
    """Values as integers, such that the sum of each row changes by at most a half.

    Rounding each value to the nearest integer alone would shift a layer's outputs: what it reads has a mean above zero.
    """
    integers = np.rint(rows)
    errors = rows - integers
    missing = np.rint(errors.sum(axis=1, keepdims=True))
    order = np.argsort(-errors * np.sign(missing), axis=1, kind="stable")
    ranks = np.argsort(order, axis=1)
    moved = integers + np.sign(missing) * (ranks < np.abs(missing))
    return np.asarray(moved.clip(-_LARGEST_STORED, _LARGEST_STORED))


def _takes_vector(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a layer is the product of one vector with a matrix that is known."""
    if node.op_type not in ("Gemm", "Conv") or node.input[1] not in graph.weights:
        return False
    plain = attributes_of(node).get("group", 1) == 1 and graph.shapes[node.input[1]][2:] in ((), (1, 1))
    return plain and graph.is_vector(node.input[0]) and graph.is_vector(node.output[0])


def _is_classifier(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a layer's result reaches the logits, but neither a map nor where to look."""
    reached = set(node.output)
    for later in graph.model.graph.node:  # in the order in which they run
        if reached & set(later.input):
            reached.update(later.output)
    return names.LOGITS in reached and names.ACTION not in reached and not any(map(graph.is_map, reached))


def _in_8_bits(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """What does the work of a layer on one vector."""
    model, matrix = graph.model, graph.array(node.input[1])
    convolution = node.op_type == "Conv"
    if convolution:
        matrix = matrix[:, :, 0, 0]
    elif not attributes_of(node).get("transB"):
        matrix = matrix.T
    (outputs, inputs), (packed, scales) = matrix.shape, _pack(matrix)
    product = helper.make_node(
        "MatMulNBits",
        [
            node.input[0],
            *(
                add_weight(model, f"{node.name}_{part}", values)
                for part, values in (("8_bits", packed), ("scales", scales))
            ),
        ],
        list(node.output),
        name=node.name,
        domain=_MICROSOFT,
        K=inputs,
        N=outputs,
        bits=8,
        block_size=_BLOCK,
        accuracy_level=_INT8_PRODUCTS,
    )
    if len(node.input) > 2:  # otherwise it is zeros and has been left out
        product.input.extend(["", "", node.input[2]])
    if not convolution:
        return [product]
    # ONNX Runtime moves transpositions together past activations, and drops the pairs.
    row, result = f"{node.output[0]}_row", f"{node.output[0]}_product"
    product.input[0], product.output[0] = row, result
    before = helper.make_node("Transpose", [node.input[0]], [row], name=f"{node.name}_row", perm=[0, 2, 3, 1])
    after = helper.make_node("Transpose", [result], list(node.output), name=f"{node.name}_column", perm=[0, 3, 1, 2])
    if not _is_spread(graph, node.output[0]):
        return [before, product, after]
    # ONNX Runtime spreads a gate in blocks of channels only where a convolution made it: one that changes nothing.
    column = after.output[0] = f"{node.output[0]}_column"
    ones = add_weight(model, f"{node.name}_ones", np.ones((outputs, 1, 1, 1), np.float32))
    same = helper.make_node("Conv", [column, ones], list(node.output), name=f"{node.name}_same", group=outputs)
    return [before, product, after, same]


def _is_spread(graph: Graph, name: str) -> bool:
    """Whether a gate's next use but one is to be spread over a map."""
    return any(
        user.op_type == "Resize"
        for activation in graph.users.get(name, ())
        for result in activation.output
        for user in graph.users.get(result, ())
    )


def _pack(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights float32 [N,K] as uint8 [N,blocks,128], of which 128 is zero, and their scales float32 [N,blocks]."""
    count = -(-matrix.shape[1] // _BLOCK)
    padded = np.pad(matrix, ((0, 0), (0, count * _BLOCK - matrix.shape[1])))
    blocks = padded.reshape(len(matrix), count, _BLOCK).astype(np.float32)
    scales = np.abs(blocks).max(axis=2) / 127
    safe = np.where(scales > 0, scales, 1).astype(np.float32)
    return (np.rint(blocks / safe[..., None]) + 128).astype(np.uint8), safe
