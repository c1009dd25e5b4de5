"""What rewriting an ONNX graph needs to know of it: who makes and who reads a value, and its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Graph:
    """A model's nodes by what they make and read; ask again for one after changing the model.

    Attributes:
        makers: the node that makes a value, by its name; inputs and weights have none.
        users: the nodes that read a value, by its name; once for each time that they do.
        weights: initializers by name.
        outputs: names of the graph's outputs.
        shapes: of every value whose shape is known and fixed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.model = model
        self.makers = {output: node for node in graph.node for output in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.outputs = {value.name for value in graph.output}
        self.shapes = {name: tuple(tensor.dims) for name, tensor in self.weights.items()}
        for value in (*graph.value_info, *graph.input, *graph.output):
            sizes = value.type.tensor_type.shape.dim
            if value.type.tensor_type.HasField("shape") and all(size.HasField("dim_value") for size in sizes):
                self.shapes[value.name] = tuple(size.dim_value for size in sizes)

    def is_map(self, name: str) -> bool:
        """Whether a value has channels and more than one pixel."""
        shape = self.shapes.get(name, ())
        return len(shape) == 4 and shape[2:] != (1, 1)

    def is_vector(self, name: str) -> bool:
        """Whether a value has one number a channel: [1,C] or [1,C,1,1]."""
        shape = self.shapes.get(name, ())
        return shape[:1] == (1,) and len(shape) in (2, 4) and shape[2:] in ((), (1, 1))

    def used_once(self, name: str) -> bool:
        """Whether only one node reads a value."""
        return len(self.users.get(name, ())) == 1 and name not in self.outputs

    def array(self, name: str) -> np.ndarray:
        """A weight's values."""
        values: np.ndarray = numpy_helper.to_array(self.weights[name])
        return values


def attributes_of(node: onnx.NodeProto) -> dict[str, object]:
    """A node's attributes by name, as Python values."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def add_weight(model: onnx.ModelProto, name: str, values: np.ndarray) -> str:
    """Add an initializer; its name."""
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


def replace_nodes(model: onnx.ModelProto, replaced: Mapping[str, Sequence[onnx.NodeProto]]) -> None:
    """Put others in the places of some nodes, by name, and drop weights that no node reads any more."""
    nodes = [new for node in model.graph.node for new in replaced.get(node.name, (node,))]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
