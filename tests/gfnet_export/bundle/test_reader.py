from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from gfnet.checkpoint import Checkpoint
from gfnet.errors import BundleError, ExportError
from gfnet.files.digests import UNKNOWN
from gfnet.files.replacing import RECORD
from gfnet_export.bundle import manifest
from gfnet_export.bundle.reader import MANIFEST, open_bundle
from gfnet_export.mil.session import mil_predictor
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.runtime.onnx_runtime import bundle_predictor
from manifest_support import rewrite, stored
from network_support import SMALL, gfnet, one_line, photograph, small_network

SCHEMA = Path(manifest.__file__).with_name("manifest.schema.json")


@pytest.fixture
def copy(onnx_bundle, tmp_path):
    return shutil.copytree(onnx_bundle.folder, tmp_path / "bundle")


@pytest.fixture
def photo():
    return photograph(120, 100)


def edit(folder, **changes):
    rewrite(folder, {**stored(folder), **changes})


def test_the_committed_schema_is_the_model_s():
    assert SCHEMA.read_text() == manifest.schema_text(), "run `make schema`"


def test_the_manifest_tells_all_that_a_runtime_needs(onnx_bundle, checkpoint):
    told, config = onnx_bundle.manifest, checkpoint.model.config
    assert (told.architecture, told.patch_size, told.steps) == (config.arch, config.patch_size, config.steps)
    assert told.labels == checkpoint.labels
    assert told.preprocessing.image_size == config.image_size
    assert told.preprocessing.mean == config.mean
    assert told.step_macs == checkpoint.evaluation.macs
    assert [budget.thresholds for budget in told.budgets] == [p.thresholds for p in checkpoint.evaluation.budgeted]
    assert {graph.name for graph in told.subgraphs} == {"glance", "policy", "focus_2", "focus_3"}
    assert told.exporter.libraries["opset"] == "18"


def test_a_bundle_holds_its_files_and_nothing_else(onnx_bundle):
    named = {name for graph in onnx_bundle.manifest.subgraphs for name in graph.sha256}
    found = {
        path.relative_to(onnx_bundle.folder).as_posix() for path in onnx_bundle.folder.rglob("*") if path.is_file()
    }
    assert found == named | {MANIFEST, RECORD}


def test_an_altered_file_is_refused_by_name(copy):
    path = copy / "glance.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"glance\.onnx: differs from the manifest"):
        open_bundle(copy)


# Each leaves a manifest that could be one.
ALTERED = {
    "preprocessing": (b'"resize_size": 96', b'"resize_size": 97'),
    "label": (b'"triangle"', b'"Triangle"'),
    "a pixel's mean": (b"0.485", b"0.486"),
    "threshold": (b'"thresholds": [\n        ', b'"thresholds": [\n        1'),
    "line ends": (b"\n", b"\r\n"),
}


@pytest.mark.parametrize(("old", "new"), ALTERED.values(), ids=ALTERED.keys())
def test_an_altered_manifest_is_refused_unless_one_looks_for_what_was_altered(copy, old, new):
    text = (copy / MANIFEST).read_bytes()
    assert old in text
    assert not open_bundle(copy, manifest_digest=False).manifest_altered
    (copy / MANIFEST).write_bytes(text.replace(old, new))
    with pytest.raises(BundleError, match=r"manifest\.json: was altered, as its digest differs; copy"):
        open_bundle(copy)
    assert open_bundle(copy, manifest_digest=False).manifest_altered


def test_a_digest_that_was_altered_itself_is_refused(copy):
    text = (copy / MANIFEST).read_bytes()
    told = json.loads(text)["digest"]
    for new in (told[::-1], told.upper(), told[:-1], "", UNKNOWN):
        (copy / MANIFEST).write_bytes(text.replace(told.encode(), new.encode()))
        with pytest.raises(BundleError, match=r"altered, as|digest: String should"):
            open_bundle(copy)
    spelled = f"\\u{ord(told[0]):04x}{told[1:]}"  # to a reader of JSON the same
    (copy / MANIFEST).write_bytes(text.replace(told.encode(), spelled.encode()))
    with pytest.raises(BundleError, match="altered, as"):
        open_bundle(copy)


def test_a_manifest_of_an_older_release_has_no_digest(copy):
    (copy / MANIFEST).write_text(json.dumps(stored(copy)))
    opened = open_bundle(copy)
    assert (opened.manifest.digest, opened.manifest_altered) == (None, False)


def test_a_half_copied_bundle_is_refused_by_name(copy):
    (copy / "focus_3.onnx").unlink()
    with pytest.raises(BundleError, match=r"focus_3\.onnx: named in the manifest, but missing"):
        open_bundle(copy)


def test_a_future_version_is_refused_with_both_numbers(copy):
    edit(copy, schema_version=2)
    with pytest.raises(BundleError, match="schema version 2, but this release reads 1"):
        open_bundle(copy)


@pytest.mark.parametrize("path", ["../glance.onnx", "/etc/passwd", "a/../../b", "C:\\x", "..\\x"])
def test_paths_that_leave_the_bundle_are_refused(copy, path):
    subgraphs = stored(copy)["subgraphs"]
    subgraphs[0]["path"] = path
    edit(copy, subgraphs=subgraphs)
    with pytest.raises(BundleError, match="leaves the bundle"):
        open_bundle(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 4}, "step_macs has 3 values for 4 steps"),
        ({"labels": ["one"]}, "1 labels for 10 classes"),
        ({"patch_size": 0}, "patch_size"),
        ({"subgraphs": []}, "step 1 needs one glance subgraph, found 0"),
        ({"step_macs": [1.0, 2.0, float("nan")]}, "NaN is not a number in JSON"),
        ({"extra": 1}, "extra"),
        ({"steps": 10**400}, "steps: Input should be"),
        ({"schema_version": True}, "schema version True, but"),
        ({"steps": "3"}, "steps: Input should be a valid integer"),
        ({"anytime_top1": [50.0]}, "anytime_top1 has 1 values for 3 steps"),
        ({"num_classes": 11, "labels": None}, r"glance: logits is \[1, 10\] at step 1, but it must be \[1, 11\]"),
        ({"patch_size": 41}, r"glance: image is \[1, 3, 40, 40\] at step 1, but it must be \[1, 3, 41, 41\]"),
        ({"precision": "int8", "compression": "palette4"}, "unknown form: onnx, int8, compression palette4"),
        ({"precision": "int8"}, "calibration belongs to 8-bit activations, and only to them"),
        ({"layout": "fused"}, "step 2 needs one step subgraph, found 0"),
        ({"x" * 9000: 1}, r"xxx \.\.\."),
        ({"two\nlines": 1}, r"two\\nlines: Extra inputs"),
    ],
)
def test_an_inconsistent_manifest_is_refused(copy, changes, message):
    edit(copy, **changes)
    with pytest.raises(BundleError, match=message):
        open_bundle(copy)


def subgraph(content, name):
    return next(graph for graph in content["subgraphs"] if graph["name"] == name)


def exchange_steps(content):
    for name, step in (("focus_2", 3), ("focus_3", 2)):
        subgraph(content, name)["steps"] = [step]


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (exchange_steps, r"focus_3: memory is \[1, \d+\] at step 2, but it must be"),
        (lambda c: subgraph(c, "focus_2")["outputs"].pop(1), "policy: feature_map is .* at step 3, but nothing before"),
        (
            lambda c: subgraph(c, "policy")["steps"].append(4),
            "policy is a policy of step 4, which no split",
        ),
        (lambda c: subgraph(c, "policy")["steps"].append(10**9), "less than or equal to 64"),
        (lambda c: subgraph(c, "policy")["inputs"][1].update(shape=[2**20, 2**20]), "larger than any tensor"),
        (lambda c: subgraph(c, "policy")["inputs"][1].update(dtype="uint8"), "hidden cannot be uint8"),
        (lambda c: subgraph(c, "policy").update(sha256={"policy.onnx/x": "0" * 64}), "sha256 lacks 'policy.onnx'"),
        (lambda c: subgraph(c, "policy").update(path="./policy.onnx"), "not written as a plain relative path"),
        (lambda c: c["budgets"][0].update(exit_distribution=[1.0]), "exit_distribution has 1 values for 3 steps"),
        (lambda c: c["preprocessing"].update(resize_size=16_000), "of a side of 16000 pixels only 96 are kept"),
        (lambda c: c["preprocessing"].update(std=[1, 0, 1]), "preprocessing.std.1"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(copy, alter, message):
    content = stored(copy)
    alter(content)
    edit(copy, **content)
    with pytest.raises(BundleError, match=message):
        open_bundle(copy)


def test_what_a_subgraph_is_called_does_not_matter(copy, photo):
    expected = bundle_predictor(copy)([photo])[0]
    content = stored(copy)
    subgraph(content, "glance")["name"] = "first"
    edit(copy, **content)
    assert [step.class_index for step in bundle_predictor(copy)([photo])[0].steps] == [
        step.class_index for step in expected.steps
    ]


def replace_by_link(file, target):
    shutil.move(file, target)
    file.symlink_to(target)


def replace_by(make):
    def replace(file):
        file.unlink()
        make(file)

    return replace


@pytest.mark.parametrize("name", ["policy.onnx", MANIFEST])
@pytest.mark.parametrize(
    ("replace", "message"),
    [
        (lambda file: replace_by_link(file, file.parents[1] / "elsewhere"), "a link that leads out of the bundle"),
        (replace_by(os.mkfifo), "but not a file|no manifest"),
        (replace_by(Path.mkdir), "but not a file|no manifest"),
        (replace_by(lambda file: file.symlink_to(file)), "cannot be read|no manifest"),
        (replace_by(lambda file: file.symlink_to("/dev/zero")), "a link that leads out|no manifest"),
    ],
    ids=["link", "pipe", "folder", "circle", "device"],
)
def test_what_is_no_file_of_the_bundle_is_refused(copy, name, replace, message):
    replace(copy / name)
    with pytest.raises(BundleError, match=message) as refused:
        open_bundle(copy)
    assert name in str(refused.value)


@pytest.mark.parametrize("name", ["Data/com.apple.CoreML/weights/other.bin", "Data/other.mlmodel", ".hidden"])
def test_a_package_with_a_file_that_has_no_digest_is_refused(coreml_bundle, tmp_path, name):
    folder = shutil.copytree(coreml_bundle.folder, tmp_path / "bundle")
    (folder / "notes.txt").write_text("beside the packages whatever one likes")
    open_bundle(folder)
    (folder / "policy.mlpackage" / name).write_bytes(b"weights")
    with pytest.raises(BundleError, match=rf"policy\.mlpackage/{name} has no digest in the manifest; remove it"):
        open_bundle(folder)


def test_a_link_within_the_bundle_and_one_to_it_are_followed(copy):
    replace_by_link(copy / "policy.onnx", copy / "other.onnx")
    (copy.parent / "link").symlink_to(copy)
    assert open_bundle(copy.parent / "link").manifest == open_bundle(copy).manifest


def test_a_network_beyond_all_bounds_is_not_exported(tmp_path):
    glance_only = dataclasses.replace(SMALL, steps=1)
    odd = Checkpoint(small_network(glance_only), ("x" * 1001,) * glance_only.num_classes)
    with pytest.raises(ExportError, match=r"a bundle cannot hold this network: labels\.0: String should have at most"):
        export_onnx(odd, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def widen_memory_of_policy(content):
    for spec in (subgraph(content, "policy")["inputs"][1], subgraph(content, "policy")["outputs"][1]):
        spec["shape"] = [1, spec["shape"][1] + 1]


@pytest.mark.parametrize(
    ("name", "alter"),
    [
        ("glance", lambda c: subgraph(c, "glance")["outputs"].append({"name": "x", "shape": [1], "dtype": "float32"})),
        ("policy", widen_memory_of_policy),
    ],
)
def test_a_core_ml_package_with_other_tensors_is_refused(coreml_bundle, tmp_path, name, alter):
    folder = shutil.copytree(coreml_bundle.folder, tmp_path / "bundle")
    content = stored(folder)
    alter(content)
    edit(folder, **content)
    with pytest.raises(BundleError, match=rf"{name}\.mlpackage: its tensors are not those of the manifest"):
        mil_predictor(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"schema_version": "1"}'])
def test_a_manifest_that_is_none_is_refused(copy, text):
    (copy / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match="manifest"):
        open_bundle(copy)


def test_folders_without_a_manifest_are_no_bundles(tmp_path, odd_images):
    assert "no manifest.json" in one_line(gfnet("predict", tmp_path, odd_images))
    assert "no such bundle folder" in one_line(gfnet("bench", "onnx", tmp_path / "none", "--images", odd_images))
