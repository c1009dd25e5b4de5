from __future__ import annotations

import json

import coremltools as ct
import pytest
import torch
from torch import nn

from gfnet.errors import ExportError
from gfnet_export.bundle.manifest import TensorSpec
from gfnet_export.bundle.reader import open_bundle
from gfnet_export.components import Component
from gfnet_export.coreml.convert import write_coreml
from gfnet_export.mil.package import read_package
from gfnet_export.verify.gates import COMPRESSED_GATES, GATES
from gfnet_export.verify.report import read_squares
from gfnet_export.verify.verification import verify
from network_support import gfnet, one_line, slow

FLOAT32 = 65568  # MLMultiArray's data type in Core ML's model description


@pytest.fixture(scope="module")
def specs(coreml_bundle):
    return {
        graph.name: ct.models.MLModel(str(coreml_bundle.path_of(graph)), skip_model_load=True).get_spec()
        for graph in coreml_bundle.manifest.subgraphs
    }


def features(described):
    return {
        f.name: (tuple(f.type.multiArrayType.shape), f.type.multiArrayType.dataType)
        for f in described
        if f.type.WhichOneof("Type") == "multiArrayType"
    }


def test_packages_describe_what_the_manifest_says(coreml_bundle, specs):
    for graph in coreml_bundle.manifest.subgraphs:
        described = specs[graph.name].description
        for tensors, found in ((graph.inputs, described.input), (graph.outputs, described.output)):
            wanted = {tensor.name: (tensor.shape, FLOAT32) for tensor in tensors if tensor.kind == "tensor"}
            assert features(found) == wanted
            assert [f.name for f in found] == [tensor.name for tensor in tensors]


def test_packages_carry_labels_and_descriptions(specs, checkpoint):
    metadata = specs["glance"].description.metadata
    assert json.loads(metadata.userDefined["labels"]) == list(checkpoint.labels)
    assert metadata.shortDescription
    assert metadata.license == "Apache-2.0"
    assert all(feature.shortDescription for feature in specs["focus_2"].description.input)


def test_a_package_says_what_it_needs_to_be_run(specs, checkpoint):
    told = specs["policy"].description.metadata.userDefined
    config = checkpoint.model.config
    assert told["origin"].startswith("floor(action * (image_size - patch_size))")
    assert (told["image_size"], told["patch_size"]) == (str(config.image_size), str(config.patch_size))
    assert (told["role"], told["precision"], told["compression"]) == ("policy", "fp16", "none")
    assert "labels" not in told


def operations(spec):
    (function,) = spec.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return block.operations


def test_the_action_is_computed_in_float32_and_the_encoders_in_float16(specs):
    fp16, fp32 = ct.proto.MIL_pb2.FLOAT16, ct.proto.MIL_pb2.FLOAT32
    (actor,) = [
        op
        for op in operations(specs["policy"])
        if op.type == "sigmoid" and op.outputs[0].type.tensorType.dimensions[1].constant.size == 2
    ]
    assert actor.outputs[0].type.tensorType.dataType == fp32
    kinds = {op.outputs[0].type.tensorType.dataType for op in operations(specs["glance"]) if op.type == "conv"}
    assert kinds == {fp16}


def test_the_grus_are_written_out(specs):
    kinds = {op.type for spec in specs.values() for op in operations(spec)}
    assert not kinds & {"while_loop", "gather", "scatter", "gru", "lstm", "cond"}


def test_the_bundle_verifies_after_a_package_was_loaded(coreml_bundle, specs):
    open_bundle(coreml_bundle.folder)  # loading rewrites a package's Manifest.json, which holds no content


def test_fp32_and_a_target_can_be_asked_for(checkpoint_file, tmp_path):
    out = tmp_path / "bundle"
    result = gfnet("export", "coreml", checkpoint_file, "--out", out, "--precision", "fp32", "--target", "iOS17")
    assert result.exit_code == 0, result.output
    bundle = open_bundle(out)
    assert bundle.manifest.precision == "fp32"
    assert bundle.manifest.exporter.libraries["target"] == "iOS17"
    spec = ct.models.MLModel(str(out / "glance.mlpackage"), skip_model_load=True).get_spec()
    assert spec.specificationVersion == 8
    assert {op.outputs[0].type.tensorType.dataType for op in operations(spec) if op.type == "conv"} == {
        ct.proto.MIL_pb2.FLOAT32
    }


@pytest.mark.parametrize(("compression", "kind"), [("int8", "affine_dequantize"), slow("palette4", "lut_to_dense")])
def test_compressed_weights_are_smaller_and_compute_nearly_the_same(
    checkpoint, checkpoint_file, coreml_bundle, scenes, tmp_path, compression, kind
):
    out = tmp_path / "bundle"
    result = gfnet("export", "coreml", checkpoint_file, "--out", out, "--compress", compression)
    assert result.exit_code == 0, result.output
    bundle = open_bundle(out)
    assert bundle.manifest.compression == compression
    assert bundle.bytes < (0.65 if compression == "int8" else 0.4) * coreml_bundle.bytes
    function = read_package(out / "glance.mlpackage").function()
    assert f"constexpr_{kind}" in {operation.type for operation in function.operations}
    actor = [o for o in read_package(out / "policy.mlpackage").function().operations if o.type == "sigmoid"][-1]
    assert actor.outputs[0][1].dtype == "float32"
    squares, _, _ = read_squares(bundle.manifest, scenes / "val", 6)
    found = verify(bundle, checkpoint, squares)
    relative = max(item.relative for item in found.differences if item.output == "feature_map")
    assert GATES["fp16"].difference / 10 < relative < COMPRESSED_GATES[compression].difference


@pytest.mark.slow
def test_an_existing_bundle_is_replaced_only_when_asked(checkpoint_file, coreml_bundle, tmp_path):
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "mine").touch()
    assert "already exists" in one_line(gfnet("export", "onnx", checkpoint_file, "--out", out))
    assert [path.name for path in tmp_path.rglob("*")] == ["bundle", "mine"]
    assert "mine" in one_line(gfnet("export", "onnx", checkpoint_file, "--out", out, "--overwrite"))
    assert [path.name for path in tmp_path.rglob("*")] == ["bundle", "mine"]
    (out / "mine").unlink()
    assert gfnet("export", "onnx", checkpoint_file, "--out", out, "--overwrite").exit_code == 0
    assert "already exists" in one_line(gfnet("export", "onnx", checkpoint_file, "--out", out))
    open_bundle(out)


class _Unconvertible(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(x).real


def test_an_operation_without_core_ml_form_is_one_clear_error(tmp_path, capfd):
    spec = TensorSpec(name="image", shape=(3, 3), dtype="float32")
    component = Component("odd", "glance", (1,), "", _Unconvertible(), (spec,), (spec,), (torch.eye(3),))
    with pytest.raises(ExportError, match="odd: Core ML export failed") as caught:
        write_coreml(component, tmp_path / "odd.mlpackage")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
