"""ONNX models with fewer bits that need no calibration: fp16, and 8-bit classifiers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from gfnet.errors import ExportError
from gfnet_export import names
from gfnet_export.quiet import quietly

with quietly():
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

_BLOCK = 32  # weights that share a scale
SMALLEST_HEAD = 2**15
"""Weights of a classifier below which memory traffic is nothing."""


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


def large_heads(model: onnx.ModelProto) -> list[str]:
    """Names of the classifiers' linear layers that have :data:`SMALLEST_HEAD` weights or more; not the policy's."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Gemm" and sizes.get(node.input[1], 0) >= SMALLEST_HEAD and _is_classifier(model, node)
    ]


def quantize_heads(model: onnx.ModelProto, heads: Sequence[str]) -> onnx.ModelProto:
    """The same network with the weights of some linear layers, and nothing else, in 8 bits, a scale for each 32.

    At a batch of one a classifier's matrix is read whole for each image: it costs memory traffic, not arithmetic.
    Only ONNX Runtime has the operator (``MatMulNBits``).  Changes ``model``.

    Args:
        heads: names of the layers; see :func:`large_heads`.
    """
    if not heads:
        return model
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.name in heads]:
        _split_gemm(model, node, weights)
    quantizer = MatMulNBitsQuantizer(
        model,
        bits=8,
        block_size=_BLOCK,
        is_symmetric=True,
        accuracy_level=4,  # multiplies in 8 bits
        nodes_to_include=list(heads),
    )
    with quietly():
        quantizer.process()
    quantized = quantizer.model.model
    onnx.checker.check_model(quantized)
    return quantized


def _is_classifier(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether a layer's result reaches the logits, but not by way of where to look."""
    reached = set(node.output)
    for later in model.graph.node:  # in the order in which they run
        if reached & set(later.input):
            reached.update(later.output)
    return names.LOGITS in reached and names.ACTION not in reached


def _split_gemm(model: onnx.ModelProto, node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> None:
    """Write a linear layer as a product and a sum, which is what the quantizer knows; ``node`` becomes the product."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    weight = weights[node.input[1]]
    matrix = numpy_helper.to_array(weight)
    if attributes.get("transB"):
        weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(matrix.T), weight.name))
    node.op_type = "MatMul"
    del node.attribute[:]
    if len(node.input) < 3:  # a bias of zeros has been left out
        return
    (bias,), (output,) = node.input[2:], node.output
    del node.input[2:], node.output[:]
    node.output.append(f"{output}_product")
    total = helper.make_node("Add", [*node.output, bias], [output], name=f"{node.name}_bias")
    model.graph.node.insert(list(model.graph.node).index(node) + 1, total)
