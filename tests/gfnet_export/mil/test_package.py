"""Packages that are read, and packages that must not be."""

from __future__ import annotations

import json
import random
import resource
import shutil

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  its usual name
from coremltools.proto import FeatureTypes_pb2, Model_pb2

from gfnet.errors import MilError
from gfnet.network.model import GFNet
from gfnet_export.components import components_of
from gfnet_export.coreml.convert import write_coreml
from gfnet_export.mil.interpreter import Interpreter
from gfnet_export.mil.models import OtherModelError, shapes_of
from gfnet_export.mil.package import read_package
from gfnet_export.mil.values import unpack
from gfnet_export.quiet import quietly
from mil_support import write_program
from network_support import recurrent

MOST_MEMORY_KB = 600_000


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """A package whose weights lie in their own file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("policy") / "policy.mlpackage"
    write_coreml(components_of(GFNet(recurrent()).eval())[1], path)
    return path


@pytest.fixture
def copy(policy, tmp_path):
    return shutil.copytree(policy, tmp_path / "copy.mlpackage")


def program(package):
    return package / "Data" / "com.apple.CoreML" / "model.mlmodel"


def weights(package):
    return package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"


def zeros(package):
    return {name: np.zeros(kind.shape, np.float32) for name, kind in package.function().inputs.items()}


def test_a_package_tells_what_it_is(policy):
    package = read_package(policy)
    assert package.specification_version == 7  # iOS 16
    main = package.function()
    assert (main.name, main.opset) == ("main", "CoreML6")
    assert list(main.inputs) == ["feature_map", "hidden"]
    assert main.outputs == ("action", "new_hidden")
    stored = [v for o in main.operations for v in o.attributes.values() if v.stored_bytes]
    assert sum(value.stored_bytes for value in stored) > 0.8 * weights(policy).stat().st_size


def test_reading_changes_nothing(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    read_package(copy)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("bits", "signed"), [(1, False), (2, False), (3, False), (4, False), (4, True), (6, False)])
def test_narrow_integers_are_unpacked_from_the_lowest_bit_up(bits, signed):
    low = -(2 ** (bits - 1)) if signed else 0
    values = np.random.default_rng(0).integers(low, low + 2**bits, 37)
    number = sum((int(value) % 2**bits) << (bits * place) for place, value in enumerate(values))
    packed = np.frombuffer(number.to_bytes(-(-37 * bits // 8), "little"), np.uint8)
    assert unpack(packed, bits, 37, signed=signed).tolist() == values.tolist()


def rename_weights(package, name):
    model = Model_pb2.Model()
    model.ParseFromString(program(package).read_bytes())
    for function in model.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for operation in block.operations:
                for value in operation.attributes.values():
                    if value.WhichOneof("value") == "blobFileValue":
                        value.blobFileValue.fileName = name
    program(package).write_bytes(model.SerializeToString())


def relist(package, path):
    listing = json.loads((package / "Manifest.json").read_text())
    listing["itemInfoEntries"][listing["rootModelIdentifier"]]["path"] = path
    (package / "Manifest.json").write_text(json.dumps(listing))


def link_out(package):
    shutil.move(weights(package), package.parent / "weight.bin")
    weights(package).symlink_to(package.parent / "weight.bin")


def as_neural_network(package):
    model = Model_pb2.Model()
    model.specificationVersion = 4
    model.neuralNetwork.SetInParent()
    program(package).write_bytes(model.SerializeToString())


DAMAGES = {
    "missing": (shutil.rmtree, "no such package folder"),
    "no list": (lambda p: (p / "Manifest.json").unlink(), "Manifest.json: cannot be read"),
    "list is no JSON": (lambda p: (p / "Manifest.json").write_text("["), "Manifest.json: cannot be read"),
    "list is something else": (lambda p: (p / "Manifest.json").write_text("[]"), "Manifest.json: cannot be read"),
    "list leads out": (lambda p: relist(p, "../../x"), "refers to '../../x', which is outside of it"),
    "list is absolute": (lambda p: relist(p, "/etc/passwd"), "which is outside of it"),
    "program missing": (lambda p: program(p).unlink(), "named in the package's list, but missing"),
    "program is text": (lambda p: program(p).write_text("no protobuf"), "not a Core ML model"),
    "program is empty": (lambda p: program(p).write_bytes(b""), "holds no model, but only an ML program"),
    "program is of another kind": (as_neural_network, r"a neural network \(Core ML's .*\) of 0 layers, but only an ML"),
    "compiled": (lambda p: (p / "coremldata.bin").touch(), "a compiled model; give the .mlpackage"),
    "weights missing": (lambda p: weights(p).unlink(), "weight.bin: cannot be read"),
    "weights empty": (lambda p: weights(p).write_bytes(b""), "weight.bin: cannot be read"),
    "weights of another format": (lambda p: weights(p).write_bytes(bytes(99)), "not a weight file of version 2"),
    "weights cut short": (lambda p: weights(p).write_bytes(weights(p).read_bytes()[:2000]), "weight.bin: ends"),
    "weights elsewhere": (lambda p: rename_weights(p, "@model_path/../../../x.bin"), "which is outside of it"),
    "weights linked": (link_out, "is a link that leads out of it"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_package_is_refused_with_the_reason(copy, damage, message):
    damage(copy)
    with pytest.raises(MilError, match=message) as refused:
        read_package(copy)
    assert "\n" not in str(refused.value)


def mutate(content: bytes, choice: random.Random) -> bytes:
    """A few bytes changed, dropped, doubled or put elsewhere."""
    changed = bytearray(content)
    for _ in range(choice.randint(1, 4)):
        begin = choice.randrange(len(changed))
        end = min(len(changed), begin + choice.choice((1, 1, 2, 8, 100)))
        kind = choice.randrange(5)
        if kind == 0:
            changed[begin] ^= 1 << choice.randrange(8)
        elif kind == 1:
            changed[begin:end] = choice.randbytes(end - begin)
        elif kind == 2 and len(changed) > 200:
            del changed[begin:end]
        elif kind == 3:
            changed[begin:begin] = changed[begin:end]
        else:
            changed[begin:end] = b"\xff" * (end - begin)
    return bytes(changed)


def listing(package):
    return package / "Manifest.json"


def refusal(package):
    """Why a package is refused; ``None`` if it runs."""
    try:
        opened = read_package(package)
        Interpreter(opened.function())(zeros(opened))
    except MilError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    """A package whose operations take sizes, places and counts from constants in the program."""

    def build(x):
        x = mb.pad(x=x, pad=[1, 1, 2, 2], mode="reflect")
        x = mb.tile(x=x, reps=[1, 1, 2, 1])
        x = mb.upsample_bilinear(x=x, scale_factor_height=2.0, scale_factor_width=1.5, align_corners=False)
        x = mb.upsample_nearest_neighbor(x=x, scale_factor_height=1.5, scale_factor_width=1.0)
        x = mb.slice_by_index(x=x, begin=[0, 0, 1, 2], end=[1, 3, 40, 14], stride=[1, 1, 3, 2])
        x = mb.conv_transpose(x=x, weight=np.ones((3, 2, 3, 3), np.float32), strides=[2, 2], pad_type="same")
        x = mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[3, 3], pad_type="valid", ceil_mode=True)
        x = mb.resize_bilinear(x=x, target_size_height=6, target_size_width=6, sampling_mode="OFFSET_CORNERS")
        box = np.array([[0, 1, 4, 5]], np.float32)
        x = mb.crop_resize(x=x, boxes=box, target_height=4, target_width=5, sampling_mode="ALIGN_CORNERS")
        x = mb.local_response_norm(x=mb.layer_norm(x=x, axes=[-1]), size=2)
        x = mb.stack(values=[x, x, x], axis=1)
        x = mb.gather(x=x, indices=np.array([2, 0], np.int32), axis=1)
        x = mb.scatter(
            data=x, indices=np.array([1], np.int32), updates=mb.fill(shape=[1, 1, 2, 4, 5], value=2.0), axis=1
        )
        x = mb.sliding_windows(x=mb.squeeze(x=x, axes=[0]), axis=3, size=2, stride=2)
        x = mb.pixel_shuffle(x=mb.reshape(x=x, shape=[1, 8, 4, -1]), upscale_factor=2)
        values, places = mb.topk(x=mb.cumsum(x=x, axis=3), k=3, axis=3)
        steps = mb.cast(x=mb.range_1d(start=0, end=6, step=2), dtype="fp32")
        hot = mb.one_hot(indices=places, one_hot_vector_size=8, on_value=1.0, off_value=0.0)
        return mb.add(x=mb.mul(x=values, y=steps), y=mb.reduce_sum(x=hot, axes=[-1]), name="y")

    return write_program(build, tmp_path_factory.mktemp("sizes") / "sizes.mlpackage", [(1, 3, 8, 8)])


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.nightly)], ids=["quick", "thorough"])
@pytest.mark.parametrize(
    ("source", "place"), [("policy", program), ("policy", weights), ("policy", listing), ("sizes", program)]
)
def test_no_mutation_does_worse_than_a_clean_error(request, tmp_path, source, place, count):
    package = shutil.copytree(request.getfixturevalue(source), tmp_path / "mutated.mlpackage")
    assert refusal(package) is None
    original, choice = place(package).read_bytes(), random.Random(count)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reasons = []
    for _ in range(count):
        place(package).write_bytes(mutate(original, choice))
        reasons.append(refusal(package))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MOST_MEMORY_KB
    refused = [reason for reason in reasons if reason is not None]
    assert refused
    assert all(reason and "\n" not in reason for reason in refused)


def write_model(path, **content):
    model = Model_pb2.Model(specificationVersion=4, **content)
    path.write_bytes(model.SerializeToString())
    return path


def network(*layers):
    return {"layers": [{"name": str(place), layer: {}} for place, layer in enumerate(layers)]}


OTHERS = {
    "neural network": (
        {"neuralNetworkClassifier": network("convolution", "activation", "convolution")},
        "a neural network classifier (Core ML's format before ML programs) of 3 layers",
    ),
    "pipeline": (
        {"pipelineClassifier": {"pipeline": {"models": [{"scaler": {}}, {"neuralNetwork": network("add")}]}}},
        "a pipeline classifier of 2 models",
    ),
    "trees": ({"treeEnsembleRegressor": {}}, "a tree ensemble regressor"),
}


@pytest.mark.parametrize(("content", "words"), OTHERS.values(), ids=OTHERS.keys())
def test_a_model_of_another_kind_says_what_it_is(tmp_path, content, words):
    with pytest.raises(OtherModelError) as refused:
        read_package(write_model(tmp_path / "other.mlmodel", **content))
    assert f"holds {words}, but only an ML program can be run or linted" in str(refused.value)


def test_the_stages_of_a_pipeline_are_described_too(tmp_path):
    content, _ = OTHERS["pipeline"]
    with pytest.raises(OtherModelError) as refused:
        read_package(write_model(tmp_path / "other.mlmodel", **content))
    scaler, layers = refused.value.model.stages
    assert (scaler.words, layers.layers) == ("a scaler", {"add": 1})


FLEXIBLE = {
    "range": ({"shape": (1, ct.RangeDim(1, 16))}, "[1, 1 .. 16]"),
    "several": ({"shape": ct.EnumeratedShapes([(1, 4), (1, 8)])}, "[1, 4] or [1, 8]"),
}


@pytest.mark.parametrize(("options", "words"), FLEXIBLE.values(), ids=FLEXIBLE.keys())
def test_a_flexible_package_says_which_shapes_it_takes(tmp_path, options, words):
    traced = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1, 4))
    with quietly():
        model = ct.convert(traced, inputs=[ct.TensorType(name="x", **options)], skip_model_load=True)
        model.save(str(tmp_path / "flexible.mlpackage"))
    function = read_package(tmp_path / "flexible.mlpackage").function()
    assert function.flexible == {"x": words}
    with pytest.raises(MilError) as refused:
        Interpreter(function)
    assert f"input 'x' takes more than one shape ({words}), and only fixed shapes run here" in str(refused.value)


def test_a_picture_of_many_sizes_says_which():
    kind = FeatureTypes_pb2.FeatureType()
    size = kind.imageType.imageSizeRange
    size.heightRange.lowerBound, size.heightRange.upperBound = 2, -1
    size.widthRange.lowerBound = size.widthRange.upperBound = 5
    assert shapes_of(kind) == "2 or more pixels high, 5 wide"
    kind.imageType.enumeratedSizes.sizes.add(width=3, height=4)
    assert shapes_of(kind) == "4 x 3 pixels"


def test_the_same_weights_named_again_and_again_are_refused(tmp_path):
    weight = np.zeros(1 << 16, np.float16)

    def build(x):
        return mb.add(x=x, y=mb.const(val=weight, name="weights"))

    package = write_program(build, tmp_path / "many.mlpackage", [(1 << 16,)], "float16")
    model = Model_pb2.Model()
    model.ParseFromString(program(package).read_bytes())
    (block,) = model.mlProgram.functions["main"].block_specializations.values()
    (stored,) = [operation for operation in block.operations if operation.outputs[0].name == "weights"]
    for place in range(1 << 13):
        copied = block.operations.add()
        copied.CopyFrom(stored)
        copied.outputs[0].name = f"copy_{place}"
    program(package).write_bytes(model.SerializeToString())
    function = read_package(package).function()
    with pytest.raises(MilError, match="constants, more than any network here"):
        Interpreter(function)
