"""Manifests that somebody altered, by accident or on purpose: a clear refusal or a right answer, nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gfnet.errors import BundleError, GFNetError
from gfnet.inference.exits import resolve_thresholds
from gfnet.inference.traces import Trace, label_of
from gfnet_export.bundle.manifest import Manifest
from gfnet_export.bundle.reader import MANIFEST, open_bundle, write_manifest
from gfnet_export.runtime.onnx_runtime import bundle_predictor
from manifest_support import MUTATIONS, sealed, stored
from network_support import photograph

LONGEST_MESSAGE = 2000
MOST_MEMORY_KB = 400_000
PATIENCE = 60  # seconds for what takes milliseconds: only a hang is that long
THOROUGH = pytest.param(10_000, marks=pytest.mark.nightly)


class Fuzzed:
    """A bundle whose manifest is written anew for each attempt; beside its files lie traps.

    Attributes:
        folder: of the bundle.
        content: the manifest before.
    """

    def __init__(self, bundle, folder):
        self.folder = shutil.copytree(bundle.folder, folder)
        self.content = stored(folder)
        self.original = bundle.manifest
        self.photo = photograph(120, 100)
        self.expected = bundle_predictor(bundle)([self.photo])[0]
        shutil.copy(folder / "glance.onnx", folder.parent / "outside.onnx")
        (folder / "link.onnx").symlink_to(folder.parent / "outside.onnx")
        (folder / "loop.onnx").symlink_to(folder / "loop.onnx")
        (folder / "folder.onnx").mkdir()
        os.mkfifo(folder / "pipe.onnx")
        self.refused: list[str] = []
        self.accepted: dict[str, Manifest] = {}

    def attempt(self, text: bytes) -> None:
        """Open the bundle with another manifest."""
        (self.folder / MANIFEST).write_bytes(text)
        try:
            manifest = open_bundle(self.folder).manifest
        except BundleError as error:
            self.refused.append(str(error))
            assert_readable(str(error), self.folder)
            return
        text = manifest.model_dump_json()
        assert Manifest.model_validate_json(text, strict=True) == manifest
        self.accepted[text] = manifest

    def run(self, text: str) -> Trace | None:
        """What becomes of one image with an accepted manifest; ``None`` if the runtime refuses it."""
        write_manifest(self.folder, self.accepted[text])
        try:
            predictor = bundle_predictor(self.folder)
            thresholds = resolve_thresholds(predictor.points, predictor.runner.steps)
            assert predictor([self.photo], thresholds)[0].exit_step <= predictor.runner.steps
            trace = predictor([self.photo])[0]
        except GFNetError as error:
            assert_readable(str(error), self.folder)
            return None
        assert trace.exit_step == predictor.runner.steps
        assert isinstance(label_of(trace.class_index, predictor.labels), str)
        manifest = self.accepted[text]
        if (manifest.preprocessing, manifest.steps) == (self.original.preprocessing, self.original.steps):
            for step, twin in zip(trace.steps, self.expected.steps, strict=True):
                np.testing.assert_array_equal(step.logits, twin.logits)
        return trace


@pytest.fixture
def fuzzed(onnx_bundle, tmp_path) -> Fuzzed:
    return Fuzzed(onnx_bundle, tmp_path / "bundle")


def assert_readable(message: str, folder: Path) -> None:
    assert str(folder) in message
    assert message.isprintable(), repr(message[:LONGEST_MESSAGE])  # hence on one line
    assert len(message) < LONGEST_MESSAGE


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Neither endless nor greedy."""

    def give_up(*_: Any) -> None:
        raise TimeoutError(f"more than {PATIENCE} seconds")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = signal.signal(signal.SIGALRM, give_up)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY_KB


@pytest.mark.parametrize("count", [150, THOROUGH], ids=["quick", "thorough"])
@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_no_mutation_does_worse_than_a_clean_error(fuzzed, mutate, count):
    choice = random.Random(f"{mutate.__name__} {count}")
    with bounded():
        for _ in range(count):
            signal.alarm(PATIENCE)
            text = mutate(fuzzed.content, choice)
            fuzzed.attempt(choice.choice((text, sealed(text))))
        assert fuzzed.refused
        assert len(fuzzed.refused) > count // 10
        accepted = sorted(fuzzed.accepted)
        for one in choice.sample(accepted, min(len(accepted), max(4, count // 20))):
            signal.alarm(PATIENCE)
            fuzzed.run(one)


@pytest.mark.parametrize("count", [150, THOROUGH], ids=["quick", "thorough"])
def test_no_change_to_a_manifest_with_a_digest_is_believed(fuzzed, count):
    choice = random.Random(count)
    whole = sealed(json.dumps(fuzzed.content).encode())
    fuzzed.attempt(whole)
    for _ in range(count):
        text = bytearray(whole)
        for _ in range(choice.choice((1, 1, 3))):
            text[choice.randrange(len(text))] ^= 1 << choice.randrange(8)
        fuzzed.attempt(bytes(text))
    assert list(fuzzed.accepted.values()) == [Manifest.model_validate_json(whole, strict=True)]


MANY = 1_300_000
GREEDY = {
    "labels": lambda content: {**content, "labels": [0] * MANY},
    "empty lists": lambda content: {**content, "labels": [[]] * MANY},
    "subgraphs": lambda content: {**content, "subgraphs": [{}] * MANY},
    "subgraphs that are looked at": lambda content: {**content, "subgraphs": [{}] * 18_000},
    "libraries": lambda content: {**content, "exporter": {"gfnet": "1", "libraries": dict.fromkeys(range(300_000), 0)}},
    "digests": lambda content: with_graph(content, sha256={f"a/{i}": 0 for i in range(300_000)}),
    "unknown names": lambda content: {**content, **{f"x{i}": 0 for i in range(300_000)}},
    "one name": lambda content: {**content, "x" * 4_000_000: 0},
    "one string": lambda content: {**content, "architecture": "x" * 4_000_000},
    "one version": lambda content: {**content, "schema_version": "\n" * 1_000_000},
    "version of lists": lambda content: {**content, "schema_version": [[]] * 1_000_000},
    "too large": lambda content: {**content, "architecture": "x" * 9_000_000},
    "thresholds": lambda content: {**content, "step_macs": [1.0] * 1_000_000},
}


def with_graph(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    first, *others = content["subgraphs"]
    return {**content, "subgraphs": [{**first, **changes}, *others]}


@pytest.mark.parametrize("build", GREEDY.values(), ids=GREEDY.keys())
def test_a_manifest_full_of_rubbish_takes_little_more_than_its_own_size(fuzzed, build):
    text = json.dumps(build(fuzzed.content), separators=(",", ":")).encode()
    with bounded():
        signal.alarm(PATIENCE)
        fuzzed.attempt(text)
    assert fuzzed.refused
