from __future__ import annotations

import json
import shutil
import sys

import click
import numpy as np
import pytest
from coremltools import ComputeUnit
from coremltools.models import compute_device
from coremltools.models import compute_plan as structure
from coremltools.models.utils import load_spec
from coremltools.proto import Model_pb2

from gfnet.cli import main
from gfnet.errors import BundleError, ExportError, GFNetError
from gfnet.inference.adaptive import classify
from gfnet_export.commands import mac as mac_commands
from gfnet_export.coreml import macos
from gfnet_export.coreml.macos import (
    CoreMLSession,
    DeviceShare,
    PlannedOperation,
    check_compiled_name,
    compile_package,
    compute_plan,
    image_inputs,
    open_coreml_sessions,
    picture,
    planned_operations,
    shares_by_device,
)
from gfnet_export.mil.session import open_sessions
from gfnet_export.runtime.runner import BundleRunner
from gfnet_export.verify.gates import GATES
from gfnet_export.verify.verification import open_runtimes
from network_support import gfnet, one_line

on_a_mac = pytest.mark.skipif(sys.platform != "darwin", reason="needs Core ML")
elsewhere = pytest.mark.skipif(sys.platform == "darwin", reason="works there")


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """The group `mac` in the command line, whether or not it is installed with it."""
    monkeypatch.setitem(main.commands, "mac", mac_commands.mac)


@pytest.fixture
def package(coreml_bundle):
    return coreml_bundle.folder / "glance.mlpackage"


# --- on any machine ---


@elsewhere
def test_what_needs_core_ml_says_so_and_what_to_do_instead(coreml_bundle, package, tmp_path):
    for attempt in (
        lambda: CoreMLSession(package),
        lambda: open_coreml_sessions(coreml_bundle),
        lambda: compile_package(package, tmp_path / "glance.mlmodelc"),
        lambda: compute_plan(package),
    ):
        with pytest.raises(ExportError, match=r"needs macOS: .*`gfnet mil run`.*`gfnet verify`") as refused:
            attempt()
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@elsewhere
def test_commands_end_with_one_line_elsewhere(package, tmp_path):
    out = tmp_path / "glance.mlmodelc"
    for arguments, what in (
        (("plan", package, "--json", tmp_path / "plan.json"), "a compute plan needs macOS"),
        (("compile", package, "--out", out), "compiling a package needs macOS"),
    ):
        assert what in one_line(gfnet("mac", *arguments))
    assert list(tmp_path.iterdir()) == []


@elsewhere
def test_verify_does_without_core_ml_elsewhere(coreml_bundle):
    assert list(open_runtimes(coreml_bundle)) == ["MIL", "MIL, not rounded"]


def test_units_are_those_of_coremltools(package):
    assert "'gpu' is not one of 'all', 'cpu_and_ne'" in one_line(gfnet("mac", "plan", package, "--units", "gpu"))
    units = next(option for option in mac_commands.plan.params if option.name == "units")
    assert isinstance(units.type, click.Choice)
    assert set(units.type.choices) == {unit.name.lower() for unit in ComputeUnit}
    assert {macos._UNITS[choice] for choice in units.type.choices} == {unit.name for unit in ComputeUnit}


def test_core_ml_runs_no_onnx_bundle(onnx_bundle):
    with pytest.raises(BundleError, match="a onnx bundle; Core ML runs those of `export coreml`"):
        open_coreml_sessions(onnx_bundle)


def test_a_compiled_model_has_a_name_that_core_ml_knows(tmp_path):
    check_compiled_name(tmp_path / "glance.mlmodelc")
    with pytest.raises(ExportError, match=r"glance: the folder of a compiled model ends in \.mlmodelc"):
        check_compiled_name(tmp_path / "glance")


def test_pictures_are_rounded_halves_to_even_and_clipped():
    planes = np.zeros((1, 3, 2, 4), np.float32)
    planes[0, 0, 0] = (0.5, 1.5, 2.5, 254.5)
    planes[0, 1, 0] = (-3, 255.4, 258, 0.49)
    planes[0, 2, 1] = (7, 8, 9, 10)
    made = picture(planes)
    assert (made.mode, made.size) == ("RGB", (4, 2))
    pixels = np.asarray(made)
    assert pixels[0, :, 0].tolist() == [0, 2, 2, 254]
    assert pixels[0, :, 1].tolist() == [0, 255, 255, 0]
    assert pixels[1, :, 2].tolist() == [7, 8, 9, 10]
    assert pixels.sum() == 4 + 254 + 510 + 34


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4), (1, 4, 4, 3), (1, 3, 0, 4)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(ExportError, match=r"an image input has the shape \[1,3,height,width\], not"):
        picture(np.zeros(shape, np.float32))


def test_a_picture_without_numbers_is_refused():
    with pytest.raises(ExportError, match="NaN"):
        picture(np.full((1, 3, 2, 2), np.nan, np.float32))


def test_image_inputs_are_found_in_the_function_that_runs(package):
    assert image_inputs(load_spec(str(package)).description) == set()  # the glance's are planes of float32
    description = Model_pb2.ModelDescription()
    for features, image, array in (
        (description.input, "alone", "beside"),
        (description.functions.add(name="first").input, "image", "memory"),
        (description.functions.add(name="second").input, "patch", "hidden"),
    ):
        features.add(name=image).type.imageType.width = 4
        features.add(name=array).type.multiArrayType.shape.append(4)
    assert image_inputs(description) == {"alone"}
    assert image_inputs(description, "second") == {"patch"}
    description.defaultFunctionName = "first"
    assert image_inputs(description) == {"image"}


def operation(kind, *outputs, blocks=()):
    named = [structure.MLModelStructureProgramNamedValueType(name, None) for name in outputs]
    return structure.MLModelStructureProgramOperation({}, kind, named, list(blocks), None)


def block(*operations):
    return structure.MLModelStructureProgramBlock([], list(operations), [])


class Answers:
    """What an ``MLComputePlan`` answers, by the name of an operation's first result; there is none off macOS."""

    def __init__(self, **answers):
        self.answers = answers

    def get_compute_device_usage_for_mlprogram_operation(self, operation):
        found = self.answers.get(operation.outputs[0].name)
        devices = found and [getattr(compute_device, f"ML{name}ComputeDevice") for name in found[0]]
        devices = devices and [device.__new__(device) for device in devices]
        return devices and structure.MLComputePlanDeviceUsage(devices[0], devices)

    def get_estimated_cost_for_mlprogram_operation(self, operation):
        found = self.answers.get(operation.outputs[0].name)
        return found and structure.MLComputePlanCost(found[1])


def test_a_plan_is_read_with_what_is_nested_and_without_constants():
    nested = operation("cond", "choice", blocks=[block(operation("const", "c")), block(operation("ios17.relu", "r"))])
    plan = Answers(x=(("NeuralEngine", "GPU", "CPU"), 0.75), r=(("CPU",), 0.25))
    found = planned_operations(plan, block(operation("const", "weight"), operation("ios16.conv", "x", "y"), nested))
    assert found == (
        PlannedOperation("conv", "x", "Neural Engine", ("Neural Engine", "GPU", "CPU"), 0.75),
        PlannedOperation("cond", "choice", None, (), None),
        PlannedOperation("relu", "r", "CPU", ("CPU",), 0.25),
    )


PLAN = (
    PlannedOperation("conv", "x", "Neural Engine", ("CPU", "Neural Engine"), 0.6),
    PlannedOperation("mul", "y", "CPU", ("CPU",), 0.1),
    PlannedOperation("add", "z", "CPU", ("CPU", "GPU"), None),
    PlannedOperation("cond", "choice", None, (), None),
    PlannedOperation("linear", "logits", "Neural Engine", ("CPU", "Neural Engine"), 0.1),
)


def test_shares_are_of_operations_and_of_cost():
    engine, cpu, unknown = shares_by_device(PLAN)
    assert (engine.device, engine.operations, engine.operation_share) == ("Neural Engine", 2, 0.4)
    assert engine.cost_share == pytest.approx(0.7 / 0.8)  # a plan's costs need not add up to 1
    assert (cpu.device, cpu.operations, cpu.cost_share) == ("CPU", 2, pytest.approx(0.1 / 0.8))
    assert unknown == DeviceShare(None, 1, 0.2, 0.0)
    assert shares_by_device(PLAN[2:3]) == (DeviceShare("CPU", 1, 1.0, None),)
    assert shares_by_device(()) == ()


def test_the_table_shows_every_operation_and_every_device():
    lines = mac_commands.plan_table(PLAN, shares_by_device(PLAN)).splitlines()
    assert len(lines) == 1 + len(PLAN) + 1 + 3
    assert lines[1].split() == ["conv", "60.0%", "Neural", "Engine", "CPU"]
    assert lines[2].split() == ["mul", "10.0%", "CPU"]
    assert lines[3].split() == ["add", "?", "CPU", "GPU"]
    assert lines[4].split() == ["cond", "?", "unknown"]
    assert lines[-3].split(maxsplit=2) == ["Neural", "Engine", "2 operations, 40.0% of them, 87.5% of the cost"]
    assert lines[-1].split(maxsplit=1) == ["unknown", "1 operations, 20.0% of them, 0.0% of the cost"]


# --- on a Mac ---


@on_a_mac
@pytest.mark.parametrize("units", ["all", "cpu_only"])
def test_core_ml_computes_what_the_interpreter_does(coreml_bundle, units):
    ours, theirs = open_sessions(coreml_bundle), open_coreml_sessions(coreml_bundle, units)
    generator = np.random.default_rng(0)
    for graph in coreml_bundle.manifest.subgraphs:
        scale = 255 if graph.role in ("glance", "focus") else 1
        inputs = {spec.name: generator.uniform(0, scale, spec.shape).astype(np.float32) for spec in graph.inputs}
        outputs = [spec.name for spec in graph.outputs]
        for spec, found, expected in zip(
            graph.outputs, theirs[graph.name].run(outputs, inputs), ours[graph.name].run(outputs, inputs), strict=True
        ):
            assert found.dtype == np.float32
            assert found.shape == spec.shape
            assert np.abs(found - expected).max() <= GATES["fp16"].difference * np.abs(expected).max()


@on_a_mac
def test_a_bundle_runs_to_its_end(coreml_bundle):
    runner = BundleRunner(coreml_bundle.manifest, open_coreml_sessions(coreml_bundle, "cpu_only"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3)).astype(np.uint8)
    assert classify(runner, pixels, None, [""])[0].exit_step == 3


@on_a_mac
def test_core_ml_is_the_runtime_that_counts(coreml_bundle):
    assert list(open_runtimes(coreml_bundle)) == ["Core ML", "MIL", "MIL, not rounded"]


@on_a_mac
def test_what_core_ml_cannot_load_or_run_is_refused_with_the_reason(package, tmp_path):
    for path, function, message in (
        (tmp_path / "none.mlpackage", None, "no such package folder"),
        (tmp_path, None, r"not named \*\.mlpackage"),
        (package, "other", "Core ML cannot load it"),
    ):
        with pytest.raises(ExportError, match=message):
            CoreMLSession(path, function)
    broken = shutil.copytree(package, tmp_path / "broken.mlpackage")
    (broken / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(b"no model")
    for attempt in (lambda: CoreMLSession(broken), lambda: compile_package(broken, tmp_path / "broken.mlmodelc")):
        with pytest.raises(ExportError, match="Core ML cannot") as refused:
            attempt()
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "broken.mlmodelc").exists()
    with pytest.raises(ExportError, match="Core ML cannot run it"):
        CoreMLSession(package).run(["logits"], {"image": np.zeros((1, 3, 7, 7), np.float32)})


@on_a_mac
def test_a_compiled_package_lies_where_it_was_asked_for(package, tmp_path):
    out = tmp_path / "glance.mlmodelc"
    assert gfnet("mac", "compile", package, "--out", out, "--json", tmp_path / "result.json").exit_code == 0
    assert (out / "coremldata.bin").is_file()
    assert json.loads((tmp_path / "result.json").read_text())["bytes"] > 0
    with pytest.raises(GFNetError, match="already exists"):
        compile_package(package, out)
    assert compile_package(package, out, overwrite=True) == out
    assert {path.name for path in tmp_path.iterdir()} == {"glance.mlmodelc", "result.json"}


@on_a_mac
def test_a_plan_names_every_operation_and_its_device(package, tmp_path):
    operations = compute_plan(package, compute_units="cpu_only")
    assert "conv" in {operation.type for operation in operations}
    assert {operation.device for operation in operations} <= {"CPU", None}
    assert all(0 <= (operation.cost or 0) <= 1 for operation in operations)
    result = gfnet("mac", "plan", package, "--units", "cpu_only", "--json", tmp_path / "plan.json")
    assert result.exit_code == 0
    told = json.loads((tmp_path / "plan.json").read_text())
    assert [row["output"] for row in told["operations"]] == [operation.output for operation in operations]
    with pytest.raises(ExportError, match="no function 'other'; it has main"):
        compute_plan(package, "other")
