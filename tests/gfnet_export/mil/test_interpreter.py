"""Whole packages, run on this machine."""

from __future__ import annotations

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  its usual name

from gfnet.config import RELEASED
from gfnet.errors import MilError
from gfnet.model import GFNet
from gfnet_export.components import components_of
from gfnet_export.coreml_export import write_coreml
from gfnet_export.mil.interpreter import Interpreter, Overflow
from gfnet_export.mil.package import read_package
from gfnet_export.quiet import quietly
from golden_support import FAMILY_NAMES, recipe_model
from mil_support import function_of, halves
from network_support import recurrent

# Relative to the largest value of an output.  float32: other kernels' rounding.  float16: eleven bits in every one of
# about 150 operations.
FP32_TOLERANCE, FP16_TOLERANCE = 1e-5, 2e-2


def inputs_of(component, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.rand(spec.shape, generator=generator) * (255 if spec.name in ("image", "patch") else 1)
        for spec in component.inputs
    ]


def arrays_of(component):
    return {spec.name: value.numpy() for spec, value in zip(component.inputs, inputs_of(component), strict=True)}


def compare(component, path, tolerance):
    expected = component.run(*inputs_of(component))
    found = Interpreter(read_package(path).function())(arrays_of(component))
    assert list(found) == list(expected)
    for name, wanted in expected.items():
        assert found[name].dtype == np.float32
        scale = float(wanted.abs().max())
        np.testing.assert_allclose(found[name], wanted.numpy(), rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", FP32_TOLERANCE), ("fp16", FP16_TOLERANCE)])
def test_every_subgraph_computes_what_torch_does(checkpoint, tmp_path, precision, tolerance):
    for component in components_of(checkpoint.model):
        path = tmp_path / f"{component.name}.mlpackage"
        write_coreml(component, path, precision=precision)
        compare(component, path, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", FP16_TOLERANCE)])
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_every_family_computes_what_torch_does(name, tmp_path, precision, tolerance):
    for component in components_of(recipe_model(RELEASED[name])):
        path = tmp_path / f"{component.name}.mlpackage"
        write_coreml(component, path, precision=precision)
        compare(component, path, tolerance)


@pytest.fixture(scope="module")
def glance(tmp_path_factory):
    """A recurrent network's glance, in float16."""
    torch.manual_seed(0)
    component = components_of(GFNet(recurrent()).eval())[0]
    path = tmp_path_factory.mktemp("glance") / "glance.mlpackage"
    write_coreml(component, path)
    return component, path


def test_a_watcher_sees_every_operation_s_results_as_they_are_read(glance):
    component, path = glance
    function = read_package(path).function()
    seen = {}
    found = Interpreter(function)(arrays_of(component), lambda name, value: seen.update({name: value.numpy()}))
    computed = [name for o in function.operations if not o.type.startswith("const") for name, _ in o.outputs]
    assert list(seen) == [*function.inputs, *computed]
    for name, value in found.items():
        np.testing.assert_array_equal(seen[name], value)
    narrow = next(name for o in function.operations for name, kind in o.outputs if o.type == "conv")
    np.testing.assert_array_equal(seen[narrow], seen[narrow].astype(np.float16))


def run(path, component, **options):
    return Interpreter(read_package(path).function(), **options)(arrays_of(component))


def test_results_are_rounded_where_the_program_says_so_and_only_there(glance):
    component, path = glance
    rounded, exact = run(path, component), run(path, component, rounding="none")
    for name in (spec.name for spec in component.outputs):
        assert (rounded[name] == rounded[name].astype(np.float16)).all()
        assert not (exact[name] == exact[name].astype(np.float16)).all()
        assert 0 < np.abs(rounded[name] - exact[name]).max() < FP16_TOLERANCE * np.abs(exact[name]).max()


COMPRESSIONS = {
    "int8": lambda model: cto.linear_quantize_weights(
        model, cto.OptimizationConfig(cto.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=500))
    ),
    "palette": lambda model: cto.palettize_weights(
        model, cto.OptimizationConfig(cto.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=500))
    ),
    "sparse": lambda model: cto.prune_weights(
        model, cto.OptimizationConfig(cto.OpMagnitudePrunerConfig(target_sparsity=0.6, weight_threshold=500))
    ),
}


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_compressed_weights_are_those_that_coremltools_decompresses(glance, tmp_path, name, target):
    component, _ = glance
    plain = tmp_path / "plain.mlpackage"
    write_coreml(component, plain, target=target)
    with quietly():
        model = COMPRESSIONS[name](ct.models.MLModel(str(plain), skip_model_load=True))
        model.save(str(tmp_path / "small.mlpackage"))
        cto.decompress_weights(model).save(str(tmp_path / "decompressed.mlpackage"))
    small = read_package(tmp_path / "small.mlpackage")
    assert any(operation.type.startswith("constexpr_") for operation in small.function().operations)
    ours, theirs = (run(tmp_path / f"{which}.mlpackage", component) for which in ("small", "decompressed"))
    for output in (spec.name for spec in component.outputs):
        scale = np.abs(theirs[output]).max()
        np.testing.assert_allclose(ours[output], theirs[output], rtol=0, atol=2e-3 * scale)


def test_functions_of_one_package_share_their_weights(tmp_path):
    torch.manual_seed(0)
    component = components_of(GFNet(recurrent()).eval())[0]
    several = ct.utils.MultiFunctionDescriptor()
    for name in ("first", "second"):
        write_coreml(component, tmp_path / f"{name}.mlpackage", target="iOS18")
        several.add_function(str(tmp_path / f"{name}.mlpackage"), "main", name)
    several.default_function_name = "second"
    ct.utils.save_multifunction(several, str(tmp_path / "both.mlpackage"))
    package = read_package(tmp_path / "both.mlpackage")
    assert (sorted(package.functions), package.default_function) == (["first", "second"], "second")
    arrays = arrays_of(component)
    alone = run(tmp_path / "first.mlpackage", component)
    for name in package.functions:
        found = Interpreter(package.function(name))(arrays)
        assert all((found[output] == alone[output]).all() for output in (spec.name for spec in component.outputs))
    with pytest.raises(MilError, match="no function 'third'; it has first, second"):
        package.function("third")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "inputs are none, but wanted are image"),
        ({"image": np.zeros((1, 3, 4, 4))}, r"input 'image' is \[1, 3, 4, 4\], but float32 \[1, 3, 40, 40\] is wanted"),
        ({"image": np.zeros((1, 3, 40, 40), object)}, "holds object, not numbers"),
        ({"image": np.zeros((1, 3, 40, 40)), "more": np.zeros(1)}, "inputs are image, more, but wanted are image"),
    ],
)
def test_wrong_inputs_are_named(glance, arrays, message):
    with pytest.raises(MilError, match=message):
        Interpreter(read_package(glance[1]).function())(arrays)


def test_an_unknown_operation_is_named(glance, monkeypatch):
    monkeypatch.delitem(__import__("gfnet_export.mil.ops", fromlist=["OPS"]).OPS, "conv")
    with pytest.raises(MilError, match="no operation 'conv' here; known are "):
        Interpreter(read_package(glance[1]).function())


def test_the_first_result_beyond_float16_is_named(tmp_path):
    def build(x):
        large = mb.mul(x=x, y=np.float16(60000), name="large")
        return mb.sub(x=large, y=large, name="difference")

    interpreter = Interpreter(function_of(build, tmp_path, [(4,)], "float16"))
    assert not np.isnan(interpreter({"x": np.full(4, 1.0)})["difference"]).any()
    assert interpreter.overflow is None
    found = interpreter({"x": np.array([1.0, 1, -2, 1])})
    assert np.isnan(found["difference"]).any()  # infinity minus infinity: later, and not the cause
    assert interpreter.overflow == Overflow("mul", "large", 120000)
    assert "mul 'large' reaches 120000, but float16 ends at 65504" in str(interpreter.overflow)


def test_without_rounding_the_same_operation_is_named(tmp_path):
    def build(x):
        return mb.square(x=mb.exp(x=x, name="powers"), name="squares")

    interpreter = Interpreter(function_of(build, tmp_path, [(2,)], "float16"), rounding="none")
    assert np.isfinite(interpreter({"x": np.array([0.0, 9.0])})["squares"]).all()
    assert interpreter.overflow is not None
    assert (interpreter.overflow.type, interpreter.overflow.name) == ("square", "squares")


def test_an_infinite_mask_is_no_overflow(tmp_path):
    def build(x):
        return mb.softmax(x=mb.add(x=x, y=halves(0, -np.inf)), axis=0, name="masked")

    interpreter = Interpreter(function_of(build, tmp_path, [(2,)], "float16"))
    assert interpreter({"x": np.zeros(2)})["masked"].tolist() == [1, 0]
    assert interpreter.overflow is None


def test_float32_has_no_such_range(tmp_path):
    interpreter = Interpreter(function_of(lambda x: mb.square(x=x), tmp_path, [(2,)]))
    interpreter({"x": np.array([1.0, 1e6])})
    assert interpreter.overflow is None


def test_an_input_beyond_float16_is_named(tmp_path):
    interpreter = Interpreter(function_of(lambda x: mb.relu(x=x), tmp_path, [(2,)], "float16"))
    interpreter({"x": np.array([1.0, 1e6])})
    assert interpreter.overflow == Overflow("input", "x", 1e6)
