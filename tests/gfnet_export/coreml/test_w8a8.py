from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as Mil

from gfnet.errors import ExportError
from gfnet_export.bundle.manifest import Calibration
from gfnet_export.bundle.reader import open_bundle
from gfnet_export.coreml.bundle import export_coreml
from gfnet_export.coreml.w8a8 import Range, find_ranges, quantize_activations
from gfnet_export.mil.interpreter import Interpreter
from gfnet_export.mil.lint import count_operations, lint
from gfnet_export.mil.package import read_package
from gfnet_export.quiet import quietly
from gfnet_export.verify.report import read_squares
from gfnet_export.verify.verification import verify

WEIGHT = np.array([[1.0, 0.5], [-2.0, 0.25]], np.float32)
SAMPLES = [{"x": np.array([values], np.float32)} for values in ([3, -1], [1, 0], [0.5, 0.5])]


def package(path, build, *, precision=ct.precision.FLOAT16, target=ct.target.iOS17):
    """A package of one input, float32 [1,2]."""
    with quietly():
        program = Mil.program(input_specs=[Mil.TensorSpec(shape=(1, 2))], opset_version=target)(build)
        ct.convert(program, minimum_deployment_target=target, compute_precision=precision, skip_model_load=True).save(
            str(path)
        )
    return path


def two_layers(x):
    x = Mil.relu(x=Mil.linear(x=x, weight=WEIGHT), name="hidden")
    return Mil.linear(x=x, weight=WEIGHT, name="answer")


def run(path, values, **options):
    function = read_package(path).function()
    (result,) = Interpreter(function, **options)({"x": np.array([values], np.float32)}).values()
    return result[0]


def types_of(path):
    return [o.type for o in read_package(path).function().operations if not o.type.startswith("const")]


def quantized(path, samples, out):
    quantize_activations(path, samples).save(str(out))
    return out


def test_ranges_are_those_of_all_samples_not_of_the_last(tmp_path):
    function = read_package(package(tmp_path / "m.mlpackage", two_layers, precision=ct.precision.FLOAT32)).function()
    ranges = find_ranges(function, iter(SAMPLES))
    assert ranges["x"] == Range(-1, 3)
    assert ranges["hidden"] == Range(0, 2.5)  # relu of (2.5, -6.25), (1, -2), (0.75, -0.875)
    assert not any("weight" in name for name in ranges)


@pytest.mark.parametrize("rounding", ["declared", "none"])
@pytest.mark.parametrize("precision", [ct.precision.FLOAT16, ct.precision.FLOAT32])
def test_layers_read_8_bits_and_compute_nearly_the_same(tmp_path, precision, rounding):
    path = package(tmp_path / "m.mlpackage", two_layers, precision=precision)
    out = quantized(path, SAMPLES, tmp_path / "q.mlpackage")
    kinds = [kind for kind in types_of(out) if kind != "cast"]
    assert kinds == ["quantize", "dequantize", "linear", "relu", "quantize", "dequantize", "linear"]
    for values in ([3, -1], [0.37, 0.11], [2, 1]):
        wanted, found = (run(path, values, rounding=rounding) for path in (path, out))
        # Half a step of x through both layers, and half a step of what is between them.
        x, hidden = 4 / 255 / 2, 2.5 / 255 / 2
        tolerance = np.abs(WEIGHT) @ (np.abs(WEIGHT) @ [x, x] + hidden) + 0.01
        assert (np.abs(found - wanted) <= tolerance).all()
    assert not np.array_equal(run(out, [0.37, 0.11]), run(path, [0.37, 0.11]))


def test_values_beyond_the_range_are_cut_off_at_its_ends(tmp_path):
    out = quantized(package(tmp_path / "m.mlpackage", two_layers), SAMPLES, tmp_path / "q.mlpackage")
    for rounding in ("declared", "none"):
        np.testing.assert_array_equal(run(out, [90, -50], rounding=rounding), run(out, [3, -1], rounding=rounding))
    assert np.abs(run(out, [2.9, -1]) - run(out, [3, -1])).max() > 0.01


def test_a_layer_leaves_8_bits_behind_whatever_comes_next(tmp_path):
    def build(x):
        x = Mil.silu(x=Mil.linear(x=x, weight=WEIGHT))
        return Mil.linear(x=x, weight=WEIGHT, name="answer")

    out = quantized(package(tmp_path / "m.mlpackage", build), SAMPLES, tmp_path / "q.mlpackage")
    pair = ["quantize", "dequantize"]
    kinds = [kind for kind in types_of(out) if kind != "cast"]
    assert kinds == [*pair, "linear", *pair, "silu", *pair, "linear"]


@pytest.mark.parametrize(("low", "high"), [(-1, 3), (0, 6), (2, 5), (-7, -3), (-900, 1000), (0, 0), (-1e-3, 1e-3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_zero_stays_zero_and_the_range_fits(low, high, dtype):
    scale, zero = Range(low, high).quantization(dtype)
    assert isinstance(scale, dtype)
    step = float(scale)
    assert step >= 2**-14
    ends = [(end - int(zero)) * step for end in (-128, 127)]
    assert ends[0] <= min(low, 0) + 0.7 * step
    assert ends[1] >= max(high, 0) - 0.7 * step
    assert ends[1] - ends[0] <= max(1.01 * (max(high, 0) - min(low, 0)), 256 * 2**-14)


def test_wide_ranges_keep_their_negative_side(tmp_path):
    path = package(tmp_path / "m.mlpackage", lambda x: Mil.linear(x=x, weight=WEIGHT, name="answer"))
    samples = [{"x": np.array([[-700.0, 800.0]], np.float32)}]
    out = quantized(path, samples, tmp_path / "q.mlpackage")
    np.testing.assert_allclose(run(out, [-600, 500]), run(path, [-600, 500]), atol=0.02 * 1100)


def test_what_is_always_zero_does_no_harm(tmp_path):
    path = package(tmp_path / "m.mlpackage", two_layers)
    out = quantized(path, [{"x": np.zeros((1, 2), np.float32)}], tmp_path / "q.mlpackage")
    np.testing.assert_array_equal(run(out, [0, 0]), [0, 0])


def test_sums_with_constants_are_no_layers_and_sums_of_two_are(tmp_path):
    def build(x):
        shifted = Mil.add(x=x, y=np.float32(1.5))
        return Mil.add(x=Mil.sigmoid(x=shifted), y=Mil.tanh(x=shifted), name="answer")

    out = quantized(package(tmp_path / "m.mlpackage", build), SAMPLES, tmp_path / "q.mlpackage")
    kinds = types_of(out)
    assert kinds.count("quantize") == 2
    assert kinds.index("quantize") > kinds.index("add")


def test_a_tensor_that_is_not_finite_is_refused(tmp_path):
    path = package(tmp_path / "m.mlpackage", lambda x: Mil.linear(x=Mil.exp(x=x), weight=WEIGHT, name="answer"))
    with pytest.raises(ExportError, match="is NaN or infinite"):
        quantize_activations(path, [{"x": np.array([[50.0, 0.0]], np.float32)}])


def test_an_older_target_and_no_samples_are_refused(tmp_path):
    path = package(tmp_path / "old.mlpackage", two_layers, target=ct.target.iOS16)
    with pytest.raises(ExportError, match="need iOS17"):
        quantize_activations(path, SAMPLES)
    path = package(tmp_path / "new.mlpackage", two_layers)
    with pytest.raises(ExportError, match="there are none"):
        quantize_activations(path, [])


# A whole bundle


@pytest.fixture(scope="module")
def squares(coreml_bundle, scenes):
    return {part: read_squares(coreml_bundle.manifest, scenes / part, 16)[0] for part in ("train", "val")}


@pytest.fixture(scope="module")
def bundle(checkpoint, squares, tmp_path_factory):
    out = tmp_path_factory.mktemp("w8a8") / "bundle"
    export_coreml(checkpoint, out, compression="w8a8", calibration=squares["train"])
    return open_bundle(out)


@pytest.mark.slow
def test_a_bundle_says_how_it_was_calibrated_and_keeps_its_descriptions(bundle, coreml_bundle):
    assert bundle.manifest.compression == "w8a8"
    assert bundle.manifest.calibration == Calibration(images=16, method="minmax")
    assert bundle.manifest.exporter.libraries["target"] == "iOS17"
    assert bundle.bytes < 0.65 * coreml_bundle.bytes
    ours, theirs = (
        ct.models.MLModel(str(found.folder / "focus_2.mlpackage"), skip_model_load=True).get_spec()
        for found in (bundle, coreml_bundle)
    )
    assert ours.specificationVersion == 8
    for described, wanted in ((ours.description.input, theirs.description.input),):
        assert {f.name: f.shortDescription for f in described} == {f.name: f.shortDescription for f in wanted}
    ours, theirs = (found.description.metadata for found in (ours, theirs))
    assert (ours.shortDescription, ours.license, ours.author) == (
        theirs.shortDescription,
        theirs.license,
        theirs.author,
    )
    assert dict(ours.userDefined)["labels"] == dict(theirs.userDefined)["labels"]


@pytest.mark.slow
def test_the_bundle_passes_its_gates_and_is_not_the_float_one(bundle, checkpoint, squares):
    found = verify(bundle, checkpoint, squares["val"])
    assert found.failures == ()
    relative = {(item.subgraph, item.output): item.relative for item in found.differences if item.runtime == "MIL"}
    assert 5e-3 < relative["glance", "feature_map"] < 0.5
    assert relative["policy", "action"] < 0.01  # but for its weights


def operations(path):
    return {o.name: o for o in read_package(path).function().operations}


@pytest.mark.slow
def test_the_policy_has_float_activations_and_its_actor_is_as_it_was(bundle, coreml_bundle):
    ours, theirs = (operations(found.folder / "policy.mlpackage") for found in (bundle, coreml_bundle))
    assert not {"quantize", "dequantize"} & {o.type for o in ours.values()}
    assert "constexpr_affine_dequantize" in {o.type for o in ours.values()}
    actor = [o for o in theirs.values() if any(kind.shape == (1, 2) for _, kind in o.outputs)]
    assert [o.type for o in actor] == ["linear", "sigmoid"]
    for wanted in actor:
        found = ours[wanted.name]
        assert (found.type, found.inputs.keys(), found.outputs) == (wanted.type, wanted.inputs.keys(), wanted.outputs)
        for (name,) in wanted.inputs.values():
            if name in theirs and theirs[name].type == "const":
                assert ours[name].type == "const"
                np.testing.assert_array_equal(ours[name].attributes["val"].value, theirs[name].attributes["val"].value)


def test_a_wide_actor_keeps_its_weights(tmp_path):
    weight = np.random.default_rng(0).normal(size=(2, 1100)).astype(np.float32)  # more than 2048: int8 otherwise

    def build(x):
        wide = Mil.linear(x=x, weight=np.ones((1100, 2), np.float32))
        return Mil.sigmoid(x=Mil.linear(x=wide, weight=weight), name="action")

    out = quantized(package(tmp_path / "m.mlpackage", build), [], tmp_path / "q.mlpackage")
    found = operations(out)
    kinds = {o.type for o in found.values()}
    assert "constexpr_affine_dequantize" in kinds  # of the layer before
    (last,) = [o for o in found.values() if o.type == "linear" and o.outputs[0][1].shape == (1, 2)]
    assert found[last.inputs["weight"][0]].type == "const"


@pytest.mark.slow
def test_what_leaves_a_graph_is_not_rounded_to_8_bits(bundle):
    for graph in bundle.manifest.subgraphs:
        function = read_package(bundle.path_of(graph)).function()
        makers = {name: o for o in function.operations for name, _ in o.outputs}
        for name in function.outputs:
            maker = makers[name]
            while maker.type in ("cast", "reshape"):
                maker = makers[maker.inputs["x"][0]]
            assert maker.type not in ("quantize", "dequantize"), (graph.name, name)


@pytest.mark.slow
def test_mil_ops_and_lint_know_such_packages(bundle, coreml_bundle):
    function = read_package(bundle.folder / "glance.mlpackage").function()
    rows = {row.type: row for row in count_operations(function)}
    assert rows["quantize"].count > 10
    assert set(rows["quantize"].dtypes) <= {"int8", "uint8"}
    assert rows["dequantize"].dtypes == ("float16",)
    before = read_package(coreml_bundle.folder / "glance.mlpackage").function()
    assert [finding.rule for finding in lint(function)] == [finding.rule for finding in lint(before)]


def test_w8a8_without_images_or_for_an_old_system_is_refused(checkpoint, squares, tmp_path):
    with pytest.raises(ExportError, match="w8a8 needs photos"):
        export_coreml(checkpoint, tmp_path / "bundle", compression="w8a8")
    with pytest.raises(ExportError, match="need iOS17, not iOS16; leave --target out"):
        export_coreml(checkpoint, tmp_path / "bundle", compression="w8a8", target="iOS16", calibration=squares["train"])
    assert not (tmp_path / "bundle").exists()
