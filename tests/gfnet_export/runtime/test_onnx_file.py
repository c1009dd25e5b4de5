"""An ONNX file of a bundle holds all that it computes with."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gfnet.errors import BundleError
from gfnet_export.runtime.onnx_file import refuse_external_data
from gfnet_export.runtime.onnx_runtime import bundle_predictor
from manifest_support import rewrite, stored
from network_support import gfnet, one_line


def elsewhere(location: str = "weights.bin") -> TensorProto:
    """A tensor whose numbers lie in another file."""
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(nodes=(), initializers=(), sparse=(), functions=()) -> onnx.ModelProto:
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph(list(nodes), "g", [], [y], list(initializers), sparse_initializer=list(sparse))
    return helper.make_model(graph, functions=list(functions))


def constant(**value) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["y"], **value)


def branch(tensor: TensorProto) -> onnx.NodeProto:
    inner = model([constant(value=tensor)]).graph
    return helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)


def in_function(tensor: TensorProto) -> onnx.FunctionProto:
    return helper.make_function("here", "f", [], ["y"], [constant(value=tensor)], [])


def in_sparse(tensor: TensorProto) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(tensor, numpy_helper.from_array(np.arange(4)), [8])


def with_training(tensor: TensorProto) -> onnx.ModelProto:
    made = model()
    made.training_info.add().algorithm.initializer.append(tensor)
    return made


PLACES: dict[str, Callable[[TensorProto], onnx.ModelProto]] = {
    "initializer": lambda tensor: model(initializers=[tensor]),
    "constant": lambda tensor: model([constant(value=tensor)]),
    "list of tensors": lambda tensor: model([helper.make_node("F", [], ["y"], values=[tensor])]),
    "branch": lambda tensor: model([branch(tensor)]),
    "branch of a branch": lambda tensor: model(
        [helper.make_node("If", ["c"], ["y"], then_branch=model([branch(tensor)]).graph)]
    ),
    "sparse initializer": lambda tensor: model(sparse=[in_sparse(tensor)]),
    "sparse constant": lambda tensor: model([constant(sparse_value=in_sparse(tensor))]),
    "function": lambda tensor: model(functions=[in_function(tensor)]),
    "training": with_training,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_tensors_in_other_files_are_found_wherever_they_are_named(tmp_path, place):
    path = tmp_path / "model.onnx"
    path.write_bytes(place(numpy_helper.from_array(np.zeros(4, np.float32), "w")).SerializeToString())
    refuse_external_data(path)
    path.write_bytes(place(elsewhere()).SerializeToString())
    with pytest.raises(BundleError, match="keeps tensors outside of itself"):
        refuse_external_data(path)


def test_half_said_is_said(tmp_path):
    path = tmp_path / "model.onnx"
    for field in ("data_location", "external_data"):
        tensor = elsewhere()
        tensor.ClearField(field)
        path.write_bytes(model(initializers=[tensor]).SerializeToString())
        with pytest.raises(BundleError, match="keeps tensors outside of itself"):
            refuse_external_data(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"ORTM0000", b"\x3a\x7f", b"\x0b"])
def test_what_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="not an ONNX model"):
        refuse_external_data(tmp_path / "model.onnx")


def saved_apart(path: Path, location: str) -> None:
    """The same model with its weights in another file, and that digest in the manifest."""
    whole = onnx.load(path)
    onnx.save(whole, path, save_as_external_data=True, location=location, size_threshold=0)
    content = stored(path.parent)
    graph = next(graph for graph in content["subgraphs"] if graph["path"] == path.name)
    graph["sha256"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    rewrite(path.parent, content)


@pytest.mark.parametrize("location", ["weights.bin", "policy.onnx.data"])
def test_a_bundle_whose_weights_have_no_digest_is_refused(onnx_bundle, odd_images, tmp_path, location):
    folder = shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")
    saved_apart(folder / "policy.onnx", location)
    assert (folder / location).is_file()
    with pytest.raises(BundleError, match=r"policy\.onnx: keeps tensors outside of itself"):
        bundle_predictor(folder)
    assert "keeps tensors outside of itself" in one_line(gfnet("predict", folder, odd_images))
