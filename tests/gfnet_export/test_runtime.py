from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from gfnet.errors import BundleError
from gfnet.images import find_images
from gfnet.inference import torch_predictor
from gfnet_export.onnx_bundle import export_onnx
from gfnet_export.runtime import bundle_predictor
from network_support import READABLE, gfnet, recurrent, small_checkpoint

# Other kernels and folded batch norms, on logits that the test network spreads over +-30 or so.
LOGITS_TOLERANCE = 1e-3
# A threshold is the confidence of one of these very images; a little lower, rounding cannot move that one.
THRESHOLD_MARGIN = 1e-4


def compare(checkpoint, bundle, photos, thresholds):
    ours, theirs = bundle_predictor(bundle)(photos, thresholds), torch_predictor(checkpoint)(photos, thresholds)
    for trace, twin in zip(ours, theirs, strict=True):
        assert trace.exit_step == twin.exit_step
        assert trace.class_index == twin.class_index
        for step, other in zip(trace.steps, twin.steps, strict=True):
            assert step.origin == other.origin
            np.testing.assert_allclose(step.logits, other.logits, atol=LOGITS_TOLERANCE)
    return ours


def test_a_bundle_decides_like_torch_on_every_image(checkpoint, onnx_bundle, scenes):
    photos = find_images([scenes / "val"])
    compare(checkpoint, onnx_bundle, photos, None)
    exits = set()
    for point in checkpoint.evaluation.budgeted[::6]:
        thresholds = [value - THRESHOLD_MARGIN for value in point.thresholds]
        exits |= {trace.exit_step for trace in compare(checkpoint, onnx_bundle, photos, thresholds)}
    assert exits == {1, 2, 3}


def test_a_recurrent_classifier_s_shared_focus_graph_decides_like_torch(scenes, tmp_path):
    checkpoint = small_checkpoint(scenes / "val", recurrent())
    bundle = export_onnx(checkpoint, tmp_path / "bundle")
    assert [graph.steps for graph in bundle.manifest.subgraphs if graph.role == "focus"] == [(2, 3)]
    compare(checkpoint, bundle, find_images([scenes / "val"])[:12], None)


def test_export_is_repeatable(checkpoint, onnx_bundle, tmp_path):
    again = export_onnx(checkpoint, tmp_path / "again")
    assert [g.sha256 for g in again.manifest.subgraphs] == [g.sha256 for g in onnx_bundle.manifest.subgraphs]


def test_onnx_files_carry_no_source_paths(onnx_bundle):
    for graph in onnx_bundle.manifest.subgraphs:
        content = onnx_bundle.path_of(graph).read_bytes()
        assert b".py" not in content
        assert os.getcwd().encode() not in content


def test_predict_with_a_bundle_never_imports_torch(onnx_bundle, odd_images, tmp_path):
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision', 'timm', 'onnx', 'coremltools', 'safetensors'):\n"
        "            raise ImportError(f'{name} must not be needed')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from gfnet.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 1, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    out, drawn = tmp_path / "out.json", tmp_path / "drawn"
    arguments = ["predict", onnx_bundle.folder, odd_images, "--json", out, "--logits", "--draw", drawn]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    traces = json.loads(out.read_text())
    assert len(traces) == len(READABLE) == len(list(drawn.glob("*.png")))
    assert all(len(step["logits"]) == 10 for trace in traces for step in trace["steps"])


@pytest.mark.parametrize(
    ("options", "steps"), [(("--all-steps",), {3}), (("--thresholds", "0,0"), {1}), (("--thresholds", "9,9"), {3})]
)
def test_predict_stops_where_it_is_told(onnx_bundle, scenes, tmp_path, options, steps):
    result = gfnet("predict", onnx_bundle.folder, scenes / "val", *options, "--json", tmp_path / "out.json")
    assert result.exit_code == 0
    assert {trace["exit_step"] for trace in json.loads((tmp_path / "out.json").read_text())} == steps


def test_predict_keeps_to_a_budget(onnx_bundle, checkpoint, scenes, tmp_path):
    budget = checkpoint.evaluation.budgeted[20].budget
    result = gfnet(
        "predict", onnx_bundle.folder, scenes / "val", "--budget", str(budget), "--json", tmp_path / "out.json"
    )
    assert result.exit_code == 0
    exits = [trace["exit_step"] for trace in json.loads((tmp_path / "out.json").read_text())]
    spent = np.mean([checkpoint.evaluation.macs[step - 1] for step in exits])
    # The thresholds are confidences of two of these images, which rounding may let run on to the end.
    slack = 2 * checkpoint.evaluation.macs[-1] / len(exits)
    assert spent <= budget + slack
    assert len(set(exits)) > 1


def test_a_coreml_bundle_is_refused_with_the_way_out(coreml_bundle):
    with pytest.raises(BundleError, match="export it with `onnx`"):
        bundle_predictor(coreml_bundle)
