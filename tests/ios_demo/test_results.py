"""Results cross the border between Python and Swift, both ways."""

from __future__ import annotations

import json

import pytest

from gfnet.results.doubts import DoubtCode
from gfnet.results.files import read_result, write_result_file
from gfnet.results.schema import doubt
from network_support import gfnet
from result_support import classifier, network, result
from swift_support import built, run


@pytest.fixture(scope="module")
def bench():
    return built("gfnet-bench")


@pytest.fixture(scope="module")
def traces(onnx_bundle, scenes, tmp_path_factory):
    """What the small network answers to the scenes, recorded."""
    path = tmp_path_factory.mktemp("traces") / "traces.json"
    options = ("--all-steps", "--logits", "--json", path)
    done = gfnet("predict", onnx_bundle.folder, scenes / "val", *options)
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture(scope="module")
def measured(bench, traces, onnx_bundle, tmp_path_factory):
    """The same, benchmarked by the Swift engine."""
    out = tmp_path_factory.mktemp("results") / "result.json"
    done = run(bench, "replay", traces, "--manifest", onnx_bundle.folder / "manifest.json", "--out", out, "--rounds", 3)
    assert done.returncode == 0, done.stderr
    return out


def test_python_reads_what_swift_measured(measured, traces, onnx_bundle):
    found = read_result(measured)
    (subject,) = found.subjects
    manifest = onnx_bundle.manifest
    recorded = json.loads(traces.read_text())
    assert (found.images, found.rounds, len(subject.stops)) == (len(recorded), 3, manifest.steps)
    assert subject.network == f"{manifest.architecture}_p{manifest.patch_size}_T{manifest.steps}"
    assert [(graph.name, graph.role, graph.steps) for graph in subject.subgraphs] == [
        (graph.name, graph.role, graph.steps) for graph in manifest.subgraphs
    ]
    assert subject.loop.latency.count == 3 * len(recorded)


def test_swift_stops_images_where_python_does(bench, traces, scenes, onnx_bundle, tmp_path):
    recorded = json.loads(traces.read_text())
    steps = onnx_bundle.manifest.steps
    # Between two confidences: sums of exponentials may end in another digit, and stored thresholds are confidences.
    middle = [
        sum(sorted(image["steps"][step]["confidence"] for image in recorded)[19:21]) / 2 for step in range(steps - 1)
    ]
    stopping = ("--thresholds", ",".join(map(str, middle)))
    predicted, out = tmp_path / "predicted.json", tmp_path / "result.json"
    assert gfnet("predict", onnx_bundle.folder, scenes / "val", *stopping, "--json", predicted).exit_code == 0
    manifest = onnx_bundle.folder / "manifest.json"
    done = run(bench, "replay", traces, "--manifest", manifest, "--out", out, "--rounds", 1, *stopping)
    assert done.returncode == 0, done.stderr
    answers = read_result(out).subjects[0].loop.answers
    expected = [(image["exit_step"], image["class_index"]) for image in json.loads(predicted.read_text())]
    assert [(answer.exit_step, answer.class_index) for answer in answers] == expected
    assert len({exit_step for exit_step, _ in expected}) == steps


def test_accuracies_and_curve_are_those_of_the_recording(measured, traces, scenes):
    subject = read_result(measured).subjects[0]
    recorded = json.loads(traces.read_text())
    for stop in subject.stops:
        right = [image["steps"][stop.step - 1]["class_index"] == folder(image, scenes) for image in recorded]
        assert stop.top1 == pytest.approx(100 * sum(right) / len(right))
    assert len(subject.curve) > 1
    assert all(sum(point.measured_exits) == pytest.approx(1) for point in subject.curve)


def folder(image, scenes):
    classes = sorted(path.name for path in (scenes / "val").iterdir())
    return classes.index(image["image"].split("/")[-2])


def test_a_result_from_swift_can_be_ingested(measured, tmp_path):
    done = gfnet("bench", "ingest", measured, "--results", tmp_path / "kept")
    assert done.exit_code == 0, done.output
    (kept,) = (tmp_path / "kept").iterdir()
    assert read_result(kept) == read_result(measured)


@pytest.mark.parametrize(
    "written",
    [
        result(),
        result(
            network(layout="fused", revision="abc", macs=(1e6, 2e6, 3e6)),
            classifier(),
            unreliable=("a reason", doubt(DoubtCode.LOW_POWER), doubt(DoubtCode.BUSY, busy="3.1", cores=4)),
            command="gfnet bench onnx a",
        ),
        result(network(name="alone", baseline_ms=None), unreadable=("a.jpg: broken",), processes=2, rounds=4),
        result(network(name="alone", baseline_ms=None, stored_top1=(), curve=(), cold=None)),
    ],
    ids=["plain", "all fields", "no baseline", "few fields"],
)
def test_swift_writes_a_result_of_python_s_as_it_read_it(bench, written, tmp_path):
    source, copy = tmp_path / "python.json", tmp_path / "swift.json"
    write_result_file(source, written)
    done = run(bench, "validate", source, "--out", copy)
    assert done.returncode == 0, done.stderr
    assert read_result(copy) == written


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.update(schema_version=1),
        lambda values: values.update(colour="red"),
        lambda values: values.update(rounds=5),
        lambda values: values.update(rounds=float(values["rounds"])),
        lambda values: values.update(harness_us=float("nan")),
        lambda values: values.update(unreliable=[{"code": "rain"}]),
        lambda values: values.update(unreliable=[{"code": "busy", "values": {"busy": "3.1"}}]),
        lambda values: values.update(unreliable=[{"code": "low-power", "values": {"level": "1"}}]),
        lambda values: values["subjects"].clear(),
        lambda values: values["subjects"][0]["loop"].update(exit_distribution=[0.1, 0.1, 0.1]),
        lambda values: values["subjects"][0]["stops"].pop(),
        lambda values: values["subjects"][0]["loop"].pop("thresholds"),
        lambda values: values["conditions"].update(thermal_states=None),
        lambda values: values["subjects"][0]["loop"]["latency"].update(samples_ms=[1.0], count=1),
        lambda values: values["subjects"][0].update(reference="nobody"),
        lambda values: values.update(created="yesterday"),
    ],
)
def test_what_python_refuses_swift_refuses_too(bench, change, tmp_path):
    path = tmp_path / "result.json"
    values = json.loads(result(network(), classifier()).model_dump_json())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(Exception, match=r"result\.json"):
        read_result(path)
    done = run(bench, "validate", path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(path) in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("replay",),
        ("replay", "missing.json", "--out", "x.json"),
        ("replay", "missing.json", "--manifest", "missing.json", "--out", "x.json"),
        ("replay", "a", "--rounds", "none", "--manifest", "m", "--out", "x.json"),
        ("run", "bundle"),
        ("validate", "missing.json"),
        ("validate", "a.json", "--colour", "red"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_so_in_one_line(bench, arguments, tmp_path):
    done = run(bench, *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("gfnet-bench: ")
