"""What the Swift tests compare with is what Python computes."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest

from gfnet.inference.exits import choose_point
from gfnet.inference.geometry import patch_origins
from gfnet_export.bundle.manifest import Manifest
from gfnet_export.bundle.reader import MANIFEST
from swift_support import FIXTURES, KIT

ROUNDING = 2e-5  # of pixel values: written with five digits, summed by other instructions elsewhere


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_fixtures", KIT / "Tests" / "make_fixtures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def read(name):
    return json.loads((FIXTURES / name).read_text())


def test_the_golden_geometry_is_what_the_script_writes(script):
    written = json.loads(script.text_of(script.geometry()))
    stored = read("geometry.json")
    for case, twin in zip(written["resize"], stored["resize"], strict=True):
        np.testing.assert_allclose(case.pop("values"), twin.pop("values"), atol=ROUNDING, rtol=0)
    assert written == stored


def test_the_rules_of_photos_are_what_the_script_writes(script):
    assert json.loads(script.text_of(script.photos())) == read("photos.json")


def test_a_recording_is_written_as_the_committed_one(script, onnx_bundle, scenes, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "FIXTURES", tmp_path)
    script.record(onnx_bundle.folder, scenes / "val")
    for name in ("traces.json", "decisions.json", MANIFEST):
        written, stored = json.loads((tmp_path / name).read_text()), read(name)
        assert type(written) is type(stored)
        if isinstance(stored, list):
            assert len(written) == len(stored)
            assert written[0].keys() == stored[0].keys()


def test_the_recording_is_consistent_with_itself(script):
    """Its decisions follow from its traces by Python's own rules."""
    manifest = Manifest.model_validate_json((FIXTURES / MANIFEST).read_text(), strict=True)
    size, patch = manifest.preprocessing.image_size, manifest.patch_size
    traces = read("traces.json")
    for trace in traces:
        for step in trace["steps"][1:]:
            action = np.array([step["action"]], np.float32)
            assert patch_origins(action, size, patch).tolist() == [step["origin"]]
            assert all(script.shortest(value) == value for value in step["logits"])
    for decisions in read("decisions.json"):
        if "budget" in decisions["rule"]:
            point = choose_point(manifest.budgets, decisions["rule"]["budget"])
            assert list(point.thresholds) == decisions["chosen"]
        for trace, image in zip(traces, decisions["images"], strict=True):
            last = trace["steps"][image["exit_step"] - 1]
            assert [step["origin"] for step in trace["steps"][1 : image["exit_step"]]] == image["origins"]
            assert (last["class_index"], last["confidence"]) == (image["class_index"], image["confidence"])
