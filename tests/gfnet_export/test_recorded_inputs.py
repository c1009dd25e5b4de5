from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from gfnet.inference.adaptive import classify
from gfnet.network.model import GFNet
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.reader import open_bundle
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.recorded_inputs import RecordingSession, record_inputs
from gfnet_export.runtime.onnx_runtime import open_bundle_sessions
from gfnet_export.runtime.runner import BundleRunner
from gfnet_export.verify.report import read_squares
from network_support import recurrent


@pytest.fixture(scope="module")
def squares(onnx_bundle, scenes):
    return read_squares(onnx_bundle.manifest, scenes / "train", 3)[0]


def test_every_subgraph_is_recorded_at_every_step(onnx_bundle, squares):
    inputs = record_inputs(onnx_bundle.manifest, open_bundle_sessions(onnx_bundle), squares)
    # Three images, three steps; the policy runs at two of them.
    assert {name: len(runs) for name, runs in inputs.items()} == {"glance": 3, "policy": 6, "focus_2": 3, "focus_3": 3}
    for graph in onnx_bundle.manifest.subgraphs:
        for run in inputs[graph.name]:
            assert {name: (value.shape, str(value.dtype)) for name, value in run.items()} == {
                spec.name: (spec.shape, spec.dtype) for spec in graph.inputs
            }


def test_what_is_recorded_is_what_the_bundle_sees(onnx_bundle, squares):
    sessions = open_bundle_sessions(onnx_bundle)
    inputs = record_inputs(onnx_bundle.manifest, sessions, squares)
    (trace,) = classify(BundleRunner(onnx_bundle.manifest, sessions), squares[1][None], None, [""])
    assert len(trace.steps) == 3
    row, col = trace.steps[2].origin
    patch = squares[1][row : row + 40, col : col + 40]
    np.testing.assert_array_equal(inputs["focus_3"][1][names.PATCH][0], patch.transpose(2, 0, 1))
    first, second = inputs["policy"][2:4]  # of the second image
    assert not first[names.HIDDEN].any()
    assert second[names.HIDDEN].any()


def test_recordings_outlive_the_caller_s_buffer(onnx_bundle):
    session = RecordingSession(open_bundle_sessions(onnx_bundle)["glance"])
    buffer = np.full((1, 3, 40, 40), 128, np.float32)
    session.run([names.LOGITS], {names.IMAGE: buffer})
    buffer[:] = 0
    assert (session.seen[0][names.IMAGE] == 128).all()


@pytest.mark.slow
def test_steps_that_share_a_subgraph_share_its_recordings(checkpoint, squares, tmp_path):
    torch.manual_seed(0)
    model = GFNet(recurrent()).eval()
    bundle = export_onnx(dataclasses.replace(checkpoint, model=model, evaluation=None), tmp_path / "bundle")
    inputs = record_inputs(open_bundle(bundle.folder).manifest, open_bundle_sessions(bundle), squares[:2])
    assert {name: len(runs) for name, runs in inputs.items()} == {"glance": 2, "policy": 4, "focus": 4}
