"""A component's graph as Apple's converter should get it.

Batch norms are folded into the convolutions before them, as in the other formats: in float16 the root of a variance
overflows otherwise.  Averages over windows that reach beyond the edge are written out, since the converter takes all of
them for whole windows.  In float16 products with a matrix become convolutions, whose sums Apple's runtime keeps in
float32.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import Argument, map_aggregate
from torch.nn import functional as F

from gfnet.errors import ExportError
from gfnet_export.choices import CoreAIPrecision
from gfnet_export.components import Component

_ATEN = torch.ops.aten


def exported(component: Component, precision: CoreAIPrecision) -> torch.export.ExportedProgram:
    """A component as a program without batch norms; its inputs and outputs are float32 always.

    Args:
        precision: ``fp16``: weights and all values in between are float16, but for the policy's last layer.

    Raises:
        ExportError: a weight is larger than float16 holds.
    """
    # Guards would be operations of the graph; shapes are fixed anyway.
    graph = torch.export.export(component.module, component.example).module(check_guards=False)
    fold_batch_norms(graph)
    write_out_averages(graph)
    if precision == "fp16":
        compute_in_float16(graph, keep_action=component.role == "policy")
    return torch.export.export(graph, component.example)


def fold_batch_norms(graph: fx.GraphModule) -> None:
    """Fold each batch norm into the convolution whose only reader it is; others become a product and a sum."""
    for node in _calls(graph, _ATEN.batch_norm.default):
        source, weight, bias, mean, variance, _training, _momentum, epsilon, _cudnn = node.args
        factor = torch.rsqrt(_tensor(graph, variance) + epsilon) * (1 if weight is None else _tensor(graph, weight))
        offset = (0 if bias is None else _tensor(graph, bias)) - _tensor(graph, mean) * factor
        if source.target == _ATEN.conv2d.default and len(source.users) == 1:
            _scale_convolution(graph, source, factor, offset)
            result = source
        else:
            by_channel = (1, -1, *[1] * (node.meta["val"].ndim - 2))
            with graph.graph.inserting_before(node):
                values = [_constant(graph, node, value.view(by_channel)) for value in (factor, offset)]
                product = graph.graph.call_function(_ATEN.mul.Tensor, (source, values[0]))
                result = graph.graph.call_function(_ATEN.add.Tensor, (product, values[1]))
            result.meta.update(node.meta)
        node.replace_all_uses_with(result)
        graph.graph.erase_node(node)
    _finish(graph)


def _scale_convolution(graph: fx.GraphModule, node: fx.Node, factor: Tensor, offset: Tensor) -> None:
    """Multiply what a convolution gives, channel by channel, and add to it."""
    source, weight, bias, *rest = (*node.args, None)[: max(len(node.args), 3)]
    folded_weight = _tensor(graph, weight) * factor.view(-1, 1, 1, 1)
    folded_bias = offset if bias is None else _tensor(graph, bias) * factor + offset
    with graph.graph.inserting_before(node):
        values = [_constant(graph, node, value) for value in (folded_weight, folded_bias)]
    node.args = (source, *values, *rest)


def write_out_averages(graph: fx.GraphModule) -> None:
    """Make every average one over whole windows of an image with zeros around it, and correct it by a factor a place.

    That is what windows at the edge need if they reach beyond it (``ceil_mode``), or if what lies there does not count
    (``count_include_pad``).
    """
    for node in _calls(graph, _ATEN.avg_pool2d.default):
        source, window = node.args[:2]
        stride = node.args[2] if len(node.args) > 2 and node.args[2] else window
        padding = node.args[3] if len(node.args) > 3 else [0, 0]
        ones = torch.ones(1, 1, *source.meta["val"].shape[-2:])
        places = zip(ones.shape[-2:], node.meta["val"].shape[-2:], window, stride, padding, strict=True)
        around = [(before, max((out - 1) * step + wide - size - before, 0)) for size, out, wide, step, before in places]
        margins = [pixels for sides in reversed(around) for pixels in sides]  # of the last dimension first
        whole = F.avg_pool2d(F.pad(ones, margins), window, stride)
        factor = _ATEN.avg_pool2d.default(ones, *node.args[1:]) / whole
        if bool((factor == 1).all()) and not any(margins):
            continue
        with graph.graph.inserting_before(node):
            padded = graph.graph.call_function(_ATEN.constant_pad_nd.default, (source, margins))
            average = graph.graph.call_function(_ATEN.avg_pool2d.default, (padded, window, stride))
            result = graph.graph.call_function(_ATEN.mul.Tensor, (average, _constant(graph, node, factor)))
        result.meta.update(node.meta)
        node.replace_all_uses_with(result)
        graph.graph.erase_node(node)
    _finish(graph)


def compute_in_float16(graph: fx.GraphModule, *, keep_action: bool = False) -> None:
    """Round every weight to float16 and compute with it; inputs and outputs are converted.

    Args:
        keep_action: leave the layer that gives two values in float32; its result is floored to a pixel.

    Raises:
        ExportError: a weight is larger than float16 holds.
    """
    kept = [node for node in _calls(graph, _ATEN.linear.default) if keep_action and _is_pair(node)]
    _multiply_by_convolution(graph, kept)
    exact = {argument for node in kept for argument in node.args[1:]}
    for node in list(graph.graph.nodes):
        if node.op == "placeholder":
            with graph.graph.inserting_after(node):
                rounded = _converted(graph, node, torch.float16)
            node.replace_all_uses_with(rounded, lambda user, rounded=rounded: user is not rounded)
        elif node.op == "get_attr" and node not in exact:
            with graph.graph.inserting_before(node):
                node.replace_all_uses_with(_constant(graph, node, _rounded(node, _tensor(graph, node))))
        elif node.op == "call_function":
            node.args = map_aggregate(node.args, _narrower)
            node.kwargs = map_aggregate(node.kwargs, _narrower)
    for node in kept:
        with graph.graph.inserting_before(node):
            node.replace_input_with(node.args[0], _converted(graph, node.args[0], torch.float32))
    (output,) = graph.graph.find_nodes(op="output")
    with graph.graph.inserting_before(output):
        output.args = (tuple(_converted(graph, value, torch.float32) for value in output.args[0]),)
    _finish(graph)


def _multiply_by_convolution(graph: fx.GraphModule, kept: Sequence[fx.Node]) -> None:
    """Write products of one vector with a matrix as convolutions of one pixel, but for ``kept``.

    Apple's runtime on Linux adds the products of a linear layer in float16, one after another: 9,216 of them are off by
    2 % of the result.  Those of a convolution it adds in float32.
    """
    for node in _calls(graph, _ATEN.linear.default):
        source, weight, *bias = node.args
        if node in kept or source.meta["val"].ndim != 2:
            continue
        with graph.graph.inserting_before(node):
            kernel = _constant(graph, node, _tensor(graph, weight)[:, :, None, None])
            pixel = graph.graph.call_function(_ATEN.reshape.default, (source, [*source.meta["val"].shape, 1, 1]))
            product = graph.graph.call_function(_ATEN.conv2d.default, (pixel, kernel, *bias))
            result = graph.graph.call_function(_ATEN.reshape.default, (product, list(node.meta["val"].shape)))
        result.meta.update(node.meta)
        node.replace_all_uses_with(result)
        graph.graph.erase_node(node)


def _calls(graph: fx.GraphModule, target: Any) -> Sequence[Any]:
    """The nodes that call an operator, in order.  Their arguments' types depend on it, so they have none here."""
    return list(graph.graph.find_nodes(op="call_function", target=target))


def _tensor(graph: fx.GraphModule, node: Any) -> Tensor:
    """The weight that a node stands for."""
    tensor: Tensor = operator.attrgetter(node.target)(graph)
    return tensor.detach()


def _constant(graph: fx.GraphModule, near: fx.Node, value: Tensor) -> fx.Node:
    """A node, where nodes are being inserted, for a new weight; those of the module itself are never changed."""
    number = sum(1 for _ in graph.buffers(recurse=False))
    name = f"{near.name}_{number}"
    graph.register_buffer(name, value.contiguous())
    return graph.graph.get_attr(name)


def _converted(graph: fx.GraphModule, node: Any, dtype: torch.dtype) -> fx.Node:
    return graph.graph.call_function(_ATEN.to.dtype, (node, dtype))


def _rounded(node: fx.Node, weight: Tensor) -> Tensor:
    if not weight.is_floating_point():
        return weight
    rounded = weight.half()
    if not bool(rounded.isfinite().all()):
        raise ExportError(f"{node.target}: has values beyond 65504, where float16 ends; export it in fp32")
    return rounded


def _narrower(argument: Argument) -> Argument:
    return torch.float16 if argument is torch.float32 else argument


def _is_pair(node: fx.Node) -> bool:
    """Whether a node gives [1,2]: the action, and no other layer of a policy is that narrow."""
    return tuple(node.meta["val"].shape) == (1, 2)


def _finish(graph: fx.GraphModule) -> None:
    graph.graph.eliminate_dead_code()
    graph.recompile()
