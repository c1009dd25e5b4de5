from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  its usual name
from coremltools.proto import Model_pb2

from gfnet_export.mil.interpreter import Interpreter
from gfnet_export.mil.package import read_package
from mil_support import write_program
from network_support import gfnet, one_line


def test_run_computes_and_writes_arrays(coreml_bundle, tmp_path):
    package = coreml_bundle.folder / "glance.mlpackage"
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 40, 40)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    result = gfnet(
        *("mil", "run", package, "--input", f"image={tmp_path / 'image.npy'}"),
        *("--out", tmp_path / "out", "--json", tmp_path / "result.json"),
    )
    assert result.exit_code == 0, result.output
    expected = Interpreter(read_package(package).function())({"image": image})
    summary = json.loads((tmp_path / "result.json").read_text())
    assert set(summary) == set(expected) == {path.stem for path in (tmp_path / "out").glob("*.npy")}
    for name, value in expected.items():
        assert (np.load(tmp_path / "out" / f"{name}.npy") == value).all()
        assert summary[name]["shape"] == list(value.shape)
        assert f"{name}  {list(value.shape)}  from {value.min():.6g}" in result.stdout


def test_ops_lists_what_a_package_consists_of(coreml_bundle, tmp_path):
    result = gfnet("mil", "ops", coreml_bundle.folder / "glance.mlpackage", "--json", tmp_path / "ops.json")
    assert result.exit_code == 0
    rows = {row["type"]: row for row in json.loads((tmp_path / "ops.json").read_text())}
    assert rows["conv"]["dtypes"] == ["float16"]
    assert "function main of main, CoreML6, specification 7" in result.stdout


def test_lint_ends_with_1_where_it_finds_something(coreml_bundle):
    assert gfnet("mil", "lint", coreml_bundle.folder / "focus_2.mlpackage").exit_code == 0
    found = gfnet("mil", "lint", coreml_bundle.folder / "policy.mlpackage")
    assert found.exit_code == 1
    assert "float32 island: sigmoid" in found.stdout  # the action must not be rounded


def test_bad_input_is_one_line(coreml_bundle, tmp_path):
    package = coreml_bundle.folder / "glance.mlpackage"
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "small.npy", np.zeros(3))
    for arguments, message in (
        (("ops", tmp_path / "none.mlpackage"), "no such package folder"),
        (("ops", package, "--function", "other"), "no function 'other'; it has main"),
        (("run", package), "inputs given: none; the function takes image"),
        (("run", package, "--input", "image"), "write NAME=FILE.npy"),
        (("run", package, "--input", f"image={tmp_path / 'none.npy'}"), "No such file or directory"),
        (("run", package, "--input", f"image={tmp_path / 'text.npy'}"), "is not an array of numbers"),
        (
            ("run", package, "--input", f"image={tmp_path / 'small.npy'}"),
            "input 'image' has the shape [3], but must be float32",
        ),
    ):
        assert message in one_line(gfnet("mil", *arguments))


@pytest.mark.parametrize("value", [0.5, -1, 256])
def test_a_picture_takes_what_a_camera_gives(coreml_bundle, tmp_path, value):
    (graph,) = [graph for graph in coreml_bundle.manifest.subgraphs if graph.name == "focus_2"]
    for spec in graph.inputs:
        np.save(tmp_path / f"{spec.name}.npy", np.full(spec.shape, value if spec.kind == "image" else 0, np.float32))
    options = [part for spec in graph.inputs for part in ("--input", f"{spec.name}={tmp_path / spec.name}.npy")]
    line = one_line(gfnet("mil", "run", coreml_bundle.path_of(graph), *options))
    assert "input 'patch' is an 8-bit image; give it whole numbers from 0 to 255" in line


def test_run_warns_of_the_first_result_beyond_float16(tmp_path):
    package = write_program(
        lambda x: mb.relu(x=mb.square(x=x, name="squares")), tmp_path / "m.mlpackage", [(2,)], "float16"
    )
    for value, warned in ((100, False), (300, True)):
        np.save(tmp_path / "x.npy", np.full(2, value, np.float32))
        result = gfnet("mil", "run", package, "--input", f"x={tmp_path / 'x.npy'}", "--json", tmp_path / "y.json")
        assert result.exit_code == 0
        (written,) = json.loads((tmp_path / "y.json").read_text()).values()
        assert written["max"] == (None if warned else 10000)
        assert ("warning: square 'squares' reaches 90000" in result.stderr) == warned


CASES = Path(__file__).parents[1] / "mil" / "cases"


def test_ops_lists_a_classifier_and_says_that_it_cannot_be_run(tmp_path):
    result = gfnet("mil", "ops", CASES / "classifier.mlpackage", "--json", tmp_path / "ops.json")
    assert result.exit_code == 0
    assert "`gfnet mil run` cannot run it: it is a classifier" in result.stdout
    rows = {row["type"]: row["count"] for row in json.loads((tmp_path / "ops.json").read_text())}
    assert rows == {"cast": 2, "classify": 1, "linear": 1, "softmax": 1}
    lint = gfnet("mil", "lint", CASES / "classifier.mlpackage")
    assert (lint.exit_code, "it is a classifier" in lint.stderr) == (0, True)


def test_ops_lists_the_layers_of_what_is_no_ml_program(tmp_path):
    layers = [{"name": str(place), kind: {}} for place, kind in enumerate(("convolution", "add", "convolution"))]
    stages = [{"scaler": {}}, {"neuralNetwork": {"layers": layers}}]
    model = Model_pb2.Model(specificationVersion=4, pipeline={"models": stages})
    (tmp_path / "old.mlmodel").write_bytes(model.SerializeToString())
    result = gfnet("mil", "ops", tmp_path / "old.mlmodel")
    assert result.exit_code == 0
    assert "a pipeline of 2 models\n  a scaler\n  a neural network" in result.stdout
    assert "  convolution                2\n  add                        1\n" in result.stdout
    for command in ("lint", "run"):
        assert "holds a pipeline of 2 models" in one_line(gfnet("mil", command, tmp_path / "old.mlmodel"))


def test_ops_lists_what_is_known():
    result = gfnet("mil", "ops", "--known")
    assert result.exit_code == 0
    assert {"conv", "layer_norm", "constexpr_lut_to_sparse"} <= {*result.stdout.split()}


def test_an_empty_output_is_shown(tmp_path):
    package = write_program(
        lambda x: mb.slice_by_index(x=x, begin=[2], end=[2], name="nothing"), tmp_path / "m.mlpackage", [(4,)]
    )
    np.save(tmp_path / "x.npy", np.zeros(4, np.float32))
    result = gfnet("mil", "run", package, "--input", f"x={tmp_path / 'x.npy'}")
    assert (result.exit_code, "nothing  [0]  empty" in result.stdout) == (0, True)
