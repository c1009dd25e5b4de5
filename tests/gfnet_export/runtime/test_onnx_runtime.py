from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest

from gfnet.checkpoint.predictor import torch_predictor
from gfnet.errors import BundleError
from gfnet.inference.adaptive import classify
from gfnet.inference.images import find_images
from gfnet_benchmark.measure.runners import Settings
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.reader import Bundle
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.runtime.onnx_runtime import OnnxRunner, bundle_predictor, open_bundle_sessions
from network_support import READABLE, gfnet, one_line, recurrent, small_checkpoint
from trace_support import assert_same_traces

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


@pytest.mark.slow
def test_a_recurrent_classifier_s_shared_focus_graph_decides_like_torch(scenes, tmp_path):
    checkpoint = small_checkpoint(scenes / "val", recurrent())
    bundle = export_onnx(checkpoint, tmp_path / "bundle")
    assert [graph.steps for graph in bundle.manifest.subgraphs if graph.role == "focus"] == [(2, 3)]
    compare(checkpoint, bundle, find_images([scenes / "val"])[:12], None)


@pytest.mark.slow
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


class Counted(OnnxRunner):
    """Notes every set of buffers that it makes."""

    def __init__(self, bundle):
        super().__init__(bundle.manifest, open_bundle_sessions(bundle))
        self.made = []

    def _take(self):
        buffers = super()._take()
        if all(buffers is not other for other in self.made):
            self.made.append(buffers)
        return buffers


def squares(count):
    return np.random.default_rng(0).integers(0, 256, (count, 1, 96, 96, 3)).astype(np.uint8)


def test_threads_share_a_runner(onnx_bundle):
    runner, pixels = Counted(onnx_bundle), squares(48)
    alone = [classify(runner, square, None, ["x"])[0] for square in pixels]
    together = threading.Barrier(8)

    def run(part):
        together.wait(60)
        return [classify(runner, square, None, ["x"])[0] for square in part]

    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(run, np.split(pixels, 8)))
    assert_same_traces([trace for part in parts for trace in part], alone)
    assert 1 < len(runner.made) <= 8


def test_buffers_are_as_many_as_images_were_in_flight_at_once(onnx_bundle):
    runner = Counted(onnx_bundle)
    for square in squares(4):
        classify(runner, square, None, ["x"])
    assert len(runner.made) == 1
    states = [runner.glance(square)[1] for square in squares(3)]
    assert len(runner.made) == 3
    del states
    for square in squares(4):
        classify(runner, square, None, ["x"])
    assert len(runner.made) == 3


def test_buffers_stay_where_they_are(onnx_bundle):
    runner = Counted(onnx_bundle)
    places = set()
    for square in squares(3):
        _, state = runner.glance(square)
        for step in (2, 3):
            action, state = runner.propose(state)
            runner.focus(np.zeros((1, 2), np.int64), state, step)
            graph = f"focus_{step}"
            places.add((step, action.ctypes.data, state.buffers.input(graph, names.PATCH).ctypes.data))
        del state
    assert len(places) == 2  # one a step, whatever the image
    assert len({address for _, address, _ in places}) == 1


def test_a_step_allocates_its_logits_and_nothing_else(onnx_bundle):
    runner, (pixels, *_) = Counted(onnx_bundle), squares(1)
    origins = np.zeros((1, 2), np.int64)
    logits_bytes = 4 * onnx_bundle.manifest.num_classes
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    classify(runner, pixels, None, ["x"])
    _, state = runner.glance(pixels)
    kept = []
    for step in (2, 3):
        tracemalloc.start()
        try:
            before = tracemalloc.take_snapshot().filter_traces([arrays])
            tracemalloc.reset_peak()
            resting = tracemalloc.get_traced_memory()[0]
            _, state = runner.propose(state)
            logits, state = runner.focus(origins, state, step)
            peak = tracemalloc.get_traced_memory()[1] - resting
            after = tracemalloc.take_snapshot().filter_traces([arrays])
        finally:
            tracemalloc.stop()
        kept.append(logits)
        assert sum(change.size_diff for change in after.compare_to(before, "filename")) == logits_bytes
        # Python's own objects, but no array passes by: a patch would be 19,200 bytes.
        assert peak < logits_bytes + 4096


def test_a_fused_bundle_decides_like_the_split_one(checkpoint, fused_bundle, scenes):
    assert [graph.role for graph in fused_bundle.manifest.subgraphs] == ["glance", "step", "step"]
    photos = find_images([scenes / "val"])
    for thresholds in (None, checkpoint.evaluation.budgeted[20].thresholds):
        compare(checkpoint, fused_bundle, photos, thresholds and [value - THRESHOLD_MARGIN for value in thresholds])


def test_a_provider_that_is_not_there_is_named_with_those_that_are(onnx_bundle):
    with pytest.raises(BundleError, match=r"no provider 'tpu'; it has .*cpu"):
        bundle_predictor(onnx_bundle, provider="tpu")


@pytest.mark.parametrize("precision", ["int8-heads", "int8-vectors"])
@pytest.mark.parametrize("old", ["1.20.1", "1.21.1", "1.9.0"])
def test_an_onnxruntime_that_is_too_old_for_a_bundle_is_named(onnx_bundle, monkeypatch, precision, old):
    monkeypatch.setattr(ort, "__version__", old)
    bundle_predictor(onnx_bundle)  # fp32 runs on any
    newer = Bundle(onnx_bundle.folder, onnx_bundle.manifest.model_copy(update={"precision": precision}))
    with pytest.raises(BundleError, match=f"{precision} needs onnxruntime 1.22 or newer, and this is {old}; install"):
        open_bundle_sessions(newer)


@pytest.mark.parametrize("found", ["1.22.0", "1.32.0", "2.0.0", "1.23.0rc1", "nightly"])
def test_an_onnxruntime_that_is_new_enough_is_let_through(onnx_bundle, monkeypatch, found):
    monkeypatch.setattr(ort, "__version__", found)
    manifest = onnx_bundle.manifest.model_copy(update={"precision": "int8-vectors"})
    assert open_bundle_sessions(Bundle(onnx_bundle.folder, manifest))


def exactness(session):
    return session.get_session_options().get_session_config_entry("session.x64quantprecision")


def test_exact_products_reach_the_session(onnx_bundle, checkpoint_file, scenes, monkeypatch):
    bundle = Bundle(onnx_bundle.folder, onnx_bundle.manifest.model_copy(update={"precision": "int8"}))
    sessions = bundle_predictor(bundle, exact_int8=True).runner.sessions.values()
    assert [exactness(session) for session in sessions] == ["1"] * len(bundle.manifest.subgraphs)
    assert exactness(Settings(exact_int8=True).open(bundle.path_of(bundle.manifest.subgraphs[0]))) == "1"
    assert Settings(exact_int8=True).named()["int8"] == "exact"
    with pytest.raises(RuntimeError):  # no such entry
        exactness(next(iter(bundle_predictor(bundle).runner.sessions.values())))
    line = one_line(gfnet("predict", onnx_bundle.folder, scenes / "val" / "star", "--exact-int8"))
    assert "is fp32; exact_int8 is for int8, leave it out" in line
    line = one_line(gfnet("predict", checkpoint_file, scenes / "val" / "star", "--exact-int8"))
    assert "--exact-int8 is for ONNX bundles in int8" in line


@pytest.mark.parametrize("change", [{"name": "picture"}, {"shape": (1, 3, 41, 41)}, {"dtype": "uint8"}])
def test_a_file_with_other_tensors_than_the_manifest_s_is_refused(onnx_bundle, change):
    glance, *others = onnx_bundle.manifest.subgraphs
    altered = glance.model_copy(update={"inputs": (glance.inputs[0].model_copy(update=change),)})
    manifest = onnx_bundle.manifest.model_copy(update={"subgraphs": (altered, *others)})
    with pytest.raises(BundleError, match=r"glance\.onnx: its tensors are not those of the manifest"):
        open_bundle_sessions(Bundle(onnx_bundle.folder, manifest))


def test_a_provider_is_chosen_by_name(onnx_bundle, checkpoint_file, scenes):
    photo = scenes / "val" / "star"
    assert gfnet("predict", onnx_bundle.folder, photo, "--provider", "cpu").exit_code == 0
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        line = one_line(gfnet("predict", onnx_bundle.folder, photo, "--provider", "cuda"))
        assert "this onnxruntime has no provider 'cuda'; it has cpu" in line
    line = one_line(gfnet("predict", checkpoint_file, photo, "--provider", "xnnpack"))
    assert "a provider runs ONNX bundles; export one, or leave --provider out" in line


@pytest.mark.parametrize("shape", [(1, 95, 95, 3), (2, 96, 96, 3), (1, 1, 1, 3)])
def test_pixels_of_another_size_are_refused(onnx_bundle, shape):
    runner = bundle_predictor(onnx_bundle).runner
    with pytest.raises(ValueError, match=r"but a bundle takes one image, \[1, 96, 96, 3\]"):
        runner.glance(np.zeros(shape, np.uint8))
