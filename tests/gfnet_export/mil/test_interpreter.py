"""Whole packages, run on this machine."""

from __future__ import annotations

import copy
import itertools
import weakref
from pathlib import Path

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  its usual name
from coremltools.converters.mil.mil import types
from torch import nn

from gfnet.config import RELEASED
from gfnet.errors import MilError
from gfnet.network.model import GFNet
from gfnet_export.components import components_of
from gfnet_export.coreml.convert import write_coreml
from gfnet_export.mil.interpreter import Interpreter, Overflow
from gfnet_export.mil.lint import count_operations
from gfnet_export.mil.ops import OPS
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


@pytest.mark.nightly
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", FP16_TOLERANCE)])
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_every_family_computes_what_torch_does(name, tmp_path, precision, tolerance):
    for component in components_of(recipe_model(RELEASED[name])):
        path = tmp_path / f"{component.name}.mlpackage"
        write_coreml(component, path, precision=precision)
        compare(component, path, tolerance)


class Everything(nn.Module):
    """A little of what public networks hold and this project's do not."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.normal = nn.LayerNorm(8)
        self.project = nn.Linear(8, 24)
        self.grow = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.pool = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.rectify = nn.PReLU(4)

    def forward(self, x):
        embedded = self.embed(F.pad(x, (2, 2, 1, 3), mode="reflect"))
        tokens = self.normal(embedded.flatten(2).transpose(1, 2))
        query, key, value = self.project(tokens).reshape(1, 49, 3, 2, 4).permute(2, 0, 3, 1, 4)
        tokens = tokens + F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        grown = self.rectify(self.grow(tokens.transpose(1, 2).reshape(1, 8, 7, 7)))
        halves = torch.stack([grown[:, ::2, 1:], grown[:, 1::2, :-1]], 1).sum(1)
        larger = F.interpolate(halves, scale_factor=(2, 1), mode="nearest")
        smooth = F.interpolate(self.pool(larger), size=(7, 9), mode="bilinear", align_corners=False)
        return torch.log(torch.rsqrt(smooth.square() + 1) + 1).cumsum(2).topk(3, dim=3).values


def agree(model, size, folder, road="trace"):
    """Assert that a network converted in either precision computes what torch does.

    float16 may be three times as far off as torch's own, which rounds at other places.
    """
    x = torch.randn(1, 3, size, size)
    with torch.no_grad(), quietly():
        wanted = model(x)
        if road == "trace":
            source = torch.jit.trace(model, x, check_trace=False)
        else:
            source = torch.export.export(model, (x,)).run_decompositions({})
        scale = wanted.abs().max()
        rounded = copy.deepcopy(model).half()(x.half()).float()
        loss = float((rounded - wanted).abs().max() / scale)
    for precision, tolerance in ((ct.precision.FLOAT32, 2e-4), (ct.precision.FLOAT16, max(FP16_TOLERANCE, 3 * loss))):
        with quietly():
            converted = ct.convert(
                source,
                inputs=[ct.TensorType(name="x", shape=x.shape, dtype=np.float32)],
                outputs=[ct.TensorType(name="y", dtype=np.float32)],
                minimum_deployment_target=ct.target.iOS17,
                compute_precision=precision,
                skip_model_load=True,
            )
            converted.save(str(folder / "model.mlpackage"))
        interpreter = Interpreter(read_package(folder / "model.mlpackage").function())
        found = interpreter({"x": x.numpy()})["y"]
        assert interpreter.overflow is None
        np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=tolerance * float(scale), err_msg=str(precision))


def test_what_public_networks_hold_computes_what_torch_does(tmp_path):
    torch.manual_seed(0)
    agree(Everything().eval(), 24, tmp_path)


# A small member of each family, and the smallest picture that it takes.
FAMILIES = {
    "squeezenet": (lambda: torchvision.models.squeezenet1_1(weights=None), 64),
    "shufflenet": (lambda: torchvision.models.shufflenet_v2_x0_5(weights=None), 64),
    "mobilenetv2": (lambda: torchvision.models.mobilenet_v2(weights=None), 64),
    "inception": (lambda: torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False), 64),
    "swin": (lambda: torchvision.models.swin_t(weights=None), 64),
    "ghostnet": (lambda: timm.create_model("ghostnet_050"), 64),
    "mobilevit": (lambda: timm.create_model("mobilevit_xxs"), 64),
    "convnext": (lambda: timm.create_model("convnext_atto"), 64),
    "vit": (lambda: timm.create_model("vit_tiny_patch16_224", img_size=64), 64),
    "efficientformer": (lambda: timm.create_model("efficientformer_l1"), 224),
    "fastvit": (lambda: timm.create_model("fastvit_t8"), 64),
    "regnetx": (lambda: timm.create_model("regnetx_002"), 64),
}


def settled(model, size):
    """With running statistics of what passes through, so that values neither vanish nor explode."""
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = None  # the plain mean of all batches
    with torch.no_grad():
        for _ in range(4):
            model.train()(torch.randn(8, 3, size, size))
    return model.eval()


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_a_public_family_computes_what_torch_does(family, tmp_path):
    build, size = FAMILIES[family]
    torch.manual_seed(0)
    model = settled(build(), size)
    try:
        agree(model, size, tmp_path)
    except TypeError as error:
        # coremltools 9 reads shapes with int(array of one), which numpy 2.4 no longer allows; not on the other road.
        if "0-dimensional arrays" not in str(error):
            raise
        agree(model, size, tmp_path, road="export")


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


def int8(model, granularity="per_channel", **options):
    config = cto.OpLinearQuantizerConfig(mode="linear_symmetric", granularity=granularity, weight_threshold=500)
    return cto.linear_quantize_weights(model, cto.OptimizationConfig(config), **options)


def palette(model, **options):
    config = cto.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=500)
    return cto.palettize_weights(model, cto.OptimizationConfig(config), **options)


COMPRESSIONS = {
    "int8": int8,
    "palette": palette,
    "sparse": lambda model: cto.prune_weights(
        model, cto.OptimizationConfig(cto.OpMagnitudePrunerConfig(target_sparsity=0.6, weight_threshold=500))
    ),
}


JOINT = {  # the second works on what the first left
    "int8 of what is left": lambda model: int8(COMPRESSIONS["sparse"](model), joint_compression=True),
    "palette of what is left": lambda model: palette(COMPRESSIONS["sparse"](model), joint_compression=True),
    "palette of int8": lambda model: int8(palette(model), "per_tensor", joint_compression=True),
}
QUICK = {("int8", "iOS18"), ("palette", "iOS16"), ("int8 of what is left", "iOS18")}
COMPRESSED = [*itertools.product(COMPRESSIONS, ("iOS16", "iOS18")), *((name, "iOS18") for name in JOINT)]


@pytest.mark.parametrize(
    ("name", "target"),
    [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow, id=" ".join(case)) for case in COMPRESSED],
)
def test_compressed_weights_are_those_that_coremltools_decompresses(glance, tmp_path, name, target):
    component, _ = glance
    plain = tmp_path / "plain.mlpackage"
    write_coreml(component, plain, target=target)
    with quietly():
        model = (COMPRESSIONS | JOINT)[name](ct.models.MLModel(str(plain), skip_model_load=True))
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
        ({}, "inputs given: none; the function takes image"),
        ({"image": np.zeros((1, 3, 4, 4))}, r"input 'image' has the shape \[1, 3, 4, 4\], but must be float32"),
        ({"image": np.zeros((1, 3, 40, 40), object)}, "holds object, not numbers"),
        (
            {"image": np.zeros((1, 3, 40, 40)), "more": np.zeros(1)},
            "inputs given: image, more; the function takes image",
        ),
    ],
)
def test_wrong_inputs_are_named(glance, arrays, message):
    with pytest.raises(MilError, match=message):
        Interpreter(read_package(glance[1]).function())(arrays)


def test_an_unknown_operation_is_named_and_counted(glance, monkeypatch):
    monkeypatch.delitem(OPS, "conv")
    with pytest.raises(MilError, match=r"no operation 'conv' \(15 times\) here \(`gfnet mil ops --known` lists"):
        Interpreter(read_package(glance[1]).function())


CASES = Path(__file__).parent / "cases"
SOLVED = {
    "rsqrt": ([[4, 1, 0.25, 16]], [[0.5, 1, 2, 0.25]]),
    "int32_input_add": ([[1, 2, 3, 4]], [[2, 3, 4, 5]]),
    "ceil_mode_pool": ([[[0, 1, 2, 3, 4, 5, 6, 7]]], [[[0, 3, 6, -np.inf]]]),
}


@pytest.mark.parametrize(("name", "x", "y"), [(name, *values) for name, values in SOLVED.items()])
def test_small_packages_give_what_can_be_checked_by_hand(name, x, y):
    found = Interpreter(read_package(CASES / f"{name}.mlpackage").function())({"x": np.array(x)})
    np.testing.assert_allclose(found["y"], y)


def test_a_classifier_says_what_it_is():
    with pytest.raises(MilError, match="it is a classifier, whose outputs are a class label and a dictionary"):
        Interpreter(read_package(CASES / "classifier.mlpackage").function())


def test_a_state_is_said_to_be_one(tmp_path):
    @mb.program(
        input_specs=[mb.TensorSpec((2,), dtype=types.fp16), mb.StateTensorSpec((2,), dtype=types.fp16)],
        opset_version=ct.target.iOS18,
    )
    def accumulate(x, total):
        return mb.coreml_update_state(state=total, value=mb.add(x=x, y=mb.read_state(input=total)))

    with quietly():
        model = ct.convert(accumulate, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
        model.save(str(tmp_path / "state.mlpackage"))
    function = read_package(tmp_path / "state.mlpackage").function()
    assert {row.type for row in count_operations(function)} >= {"read_state"}
    with pytest.raises(MilError, match=r"it keeps 'total' from one call to the next \(a state\)"):
        Interpreter(function)


def test_a_shape_that_depends_on_values_is_said_to(tmp_path):
    function = function_of(lambda x: mb.relu(x=mb.cast(x=mb.non_zero(x=x), dtype="fp32")), tmp_path, [(4,)])
    with pytest.raises(MilError, match="the shape of what 'non_zero' and 2 more gives is known only when it runs"):
        Interpreter(function)


@pytest.mark.parametrize("wrong", [0.5, 2.0**31, np.nan, np.inf])
def test_an_integer_input_takes_whole_numbers_that_fit(wrong):
    interpreter = Interpreter(read_package(CASES / "int32_input_add.mlpackage").function())
    with pytest.raises(MilError, match=r"is int32 \[1, 4\]; give it whole numbers in -2147483648 \.\. 2147483647"):
        interpreter({"x": np.array([[1, 2, 3, wrong]])})


def test_integers_stay_integers_through_a_program(tmp_path):
    def build(x):
        halves = mb.real_div(x=x, y=np.int32(2))
        large = mb.greater(x=x, y=np.int32(4))
        return mb.select(cond=large, a=halves, b=mb.reduce_mean(x=x, axes=[0], keep_dims=True), name="y")

    found = Interpreter(function_of(build, tmp_path, [(4,)], "int32"))({"x": np.array([1, 3, 5, 7])})["y"]
    assert (found.dtype, found.tolist()) == (np.int32, [4, 4, 2, 3])


def test_what_is_not_read_again_is_let_go(tmp_path):
    def build(x):
        for _ in range(20):
            x = mb.add(x=x, y=np.ones((1 << 20,), np.float32)[:1])
        return x

    interpreter = Interpreter(function_of(build, tmp_path, [(1 << 20,)]))
    alive = []
    interpreter({"x": np.zeros(1 << 20, np.float32)}, lambda _, value: alive.append(weakref.ref(value)))
    assert sum(reference() is not None for reference in alive) <= 2


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
