"""The Swift reader's verdict on altered manifests is Python's."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gfnet.errors import BundleError
from gfnet.files.digests import UNKNOWN
from gfnet_export.bundle.reader import MANIFEST, open_bundle
from manifest_support import MUTATIONS, sealed
from swift_support import FIXTURES, built

THOROUGH = pytest.param(5000, marks=pytest.mark.nightly)
FILES = ("focus_2.onnx", "focus_3.onnx", "glance.onnx", "policy.onnx")
PATIENCE = 600  # seconds


class Verdicts:
    """Bundles of tiny files, each with a manifest of its own and with traps beside its files."""

    def __init__(self, folder: Path, checker: Path) -> None:
        self.folder = folder
        self.checker = checker
        self.texts: list[bytes] = []
        (folder / "outside.onnx").write_text("glance.onnx")

    def content(self) -> dict[str, Any]:
        """A manifest of such a bundle that both accept."""
        content = json.loads((FIXTURES / MANIFEST).read_text())
        content["budgets"] = content["budgets"][:2]  # or they were most of what is altered
        for graph in content["subgraphs"]:
            graph["sha256"] = {graph["path"]: hashlib.sha256(graph["path"].encode()).hexdigest()}
        return content

    def add(self, text: bytes) -> None:
        """One more bundle."""
        bundle = self.folder / str(len(self.texts))
        bundle.mkdir()
        for name in FILES:
            (bundle / name).write_text(name)
        (bundle / "link.onnx").symlink_to(self.folder / "outside.onnx")
        (bundle / "loop.onnx").symlink_to(bundle / "loop.onnx")
        (bundle / "folder.onnx").mkdir()
        os.mkfifo(bundle / "pipe.onnx")
        (bundle / MANIFEST).write_bytes(text)
        self.texts.append(text)

    def compare(self) -> list[bool]:
        """Whether each bundle was accepted, by both."""
        bundles = [str(self.folder / str(index)) for index in range(len(self.texts))]
        lines: list[str] = []
        for start in range(0, len(bundles), 1000):
            command = [str(self.checker), *bundles[start : start + 1000]]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
            lines += done.stdout.splitlines()
        assert len(lines) == len(bundles)
        python = [python_verdict(bundle) for bundle in bundles]
        different = [
            f"{text[:3000]!r}\n  Python: {said or 'ok'}\n  Swift: {line}"
            for text, said, line in zip(self.texts, python, lines, strict=True)
            if (said is None) != (line == "ok")
        ]
        assert not different, f"{len(different)} of {len(bundles)} differ:\n" + "\n".join(different[:5])
        for line in lines:
            assert len(line) < 2000
            assert line == "ok" or (line.startswith("refused\t") and line.replace("\t", "").isprintable())
        return [said is None for said in python]


def python_verdict(bundle: str) -> str | None:
    try:
        open_bundle(bundle)
    except BundleError as error:
        return str(error)
    return None


@pytest.fixture(scope="session")
def checker() -> Path:
    return built("gfnet-manifest-check")


@pytest.fixture
def verdicts(checker: Path, tmp_path: Path) -> Verdicts:
    return Verdicts(tmp_path, checker)


@pytest.mark.parametrize("count", [300, THOROUGH], ids=["quick", "thorough"])
@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_both_readers_come_to_one_verdict(verdicts, mutate, count):
    choice = random.Random(f"{mutate.__name__} {count} Swift")
    content = verdicts.content()
    for _ in range(count):
        text = mutate(content, choice)
        verdicts.add(choice.choice((text, sealed(text))))
    accepted = verdicts.compare()
    assert any(accepted)
    assert not all(accepted)


def test_both_readers_refuse_what_does_not_have_its_digest(verdicts):
    choice = random.Random("digest")
    whole = sealed(json.dumps(verdicts.content(), indent=2).encode())
    told = json.loads(whole)["digest"]
    verdicts.add(whole)
    for new in (told[::-1], told.upper(), told[:-1], "", UNKNOWN, f"\\u{ord(told[0]):04x}{told[1:]}"):
        verdicts.add(whole.replace(told.encode(), new.encode()))
    verdicts.add(whole.replace(f'"{told}"'.encode(), b"null"))  # as older releases wrote none
    verdicts.add(whole.replace(b'"arrow"', f'"{told}"'.encode()))
    verdicts.add(whole.replace(b"\n", b"\r\n"))
    for _ in range(200):
        text = bytearray(whole)
        text[choice.randrange(len(text))] ^= 1 << choice.randrange(8)
        verdicts.add(bytes(text))
    accepted = verdicts.compare()
    assert [index for index, right in enumerate(accepted) if right] == [0, 7]


def test_a_digest_covers_a_text_that_repeats_it(verdicts):
    """Wherever the digest stands, it counts as zeros."""
    content = verdicts.content()
    content["labels"][:2] = [UNKNOWN, UNKNOWN * 2]
    text = sealed(json.dumps(content).encode())
    told = json.loads(text)["digest"]
    verdicts.add(text)
    verdicts.add(text.replace(UNKNOWN.encode(), told.encode()))
    assert verdicts.compare() == [True, True]


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, 1)

    return change


def everywhere(**changes: Any) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **changes})


# Where two readers of JSON like to differ.
CASES: dict[str, Callable[[str], str]] = {
    "nothing": lambda text: text,
    "byte order mark": lambda text: "\ufeff" + text,
    "text behind": lambda text: text + "x",
    "space around": lambda text: " \t\r\n" + text + "\n\n ",
    "other space": lambda text: "\u00a0" + text,
    "version as a fraction": replaced('"schema_version": 1', '"schema_version": 1.0'),
    "version as a truth value": replaced('"schema_version": 1', '"schema_version": true'),
    "version twice": replaced('"schema_version": 1', '"schema_version": 1, "schema_version": 1'),
    "count as a fraction": replaced('"patch_size": 40', '"patch_size": 40.0'),
    "count with exponent": replaced('"patch_size": 40', '"patch_size": 4e1'),
    "count twice": replaced('"patch_size": 40', '"patch_size": 40, "patch_size": 40'),
    "count twice, spelled differently": replaced('"patch_size": 40', '"patch_size": 40, "\\u0070atch_size": 40'),
    "comma at the end": replaced('"patch_size": 40', '"patch_size": 40,,'),
    "unknown, deep": replaced('"patch_size": 40', f'"x": {"[" * 200}{"]" * 200}, "patch_size": 40'),
    "unknown, deeper": replaced('"patch_size": 40', f'"x": {"[" * 201}{"]" * 201}, "patch_size": 40'),
    "integer of many digits": replaced('"patch_size": 40', f'"patch_size": {"9" * 4300}'),
    "number of many digits": replaced("0.485", "9" * 4300),
    "number of too many digits": replaced("0.485", "9" * 4301),
    "digits behind the point": replaced("0.485", "0." + "4" * 6000),
    "number that is zero": replaced("0.485", "1e-999"),
    "number of 200 digits": replaced("0.485", "1" * 200),
    "number of 400 digits": replaced("0.485", "1" * 400),
    "negative zero": replaced("0.485", "-0"),
    "deviation that vanishes": replaced("0.229", "1e-999"),
    "smallest deviation": replaced("0.229", "5e-324"),
    "not a number": replaced("0.485", "NaN"),
    "negative, not a number": replaced("0.485", "-NaN"),
    "infinite": replaced("0.485", "Infinity"),
    "negative infinite": replaced("0.485", "-Infinity"),
    "four means": replaced("0.485", "0.1, 0.485"),
    "null for a default": replaced('"format": "onnx"', '"format": "onnx", "layout": null'),
    "null for a default kind": replaced('"dtype": "float32"', '"dtype": "float32", "kind": null'),
    "null calibration": replaced('"format": "onnx"', '"format": "onnx", "calibration": null'),
    "null function": replaced('"role": "glance"', '"role": "glance", "function": null'),
    "function": replaced('"role": "glance"', '"role": "glance", "function": "f"'),
    "function of two lines": replaced('"role": "glance"', '"role": "glance", "function": "f\\n"'),
    "null layers": replaced('"role": "glance"', '"role": "glance", "float_layers": null'),
    "layers": replaced('"role": "glance"', '"role": "glance", "float_layers": ["a", "b"]'),
    "empty layer": replaced('"role": "glance"', '"role": "glance", "float_layers": ["a", ""]'),
    "no labels": everywhere(labels=None),
    "empty labels": everywhere(labels=[""] * 10),
    "long labels": everywhere(labels=["é" * 1000] * 10),
    "longer labels": everywhere(labels=["é" * 1001] * 10),
    "odd labels": everywhere(labels=["\0", "\n", "\U0001f600", "\u202e", "\x7f", "e\u0301", "\u00e9", " ", "a", "a"]),
    "half a surrogate": replaced('"arrow"', '"\\ud800"'),
    "surrogates": replaced('"arrow"', '"\\ud83d\\ude00"'),
    "raw control character": replaced('"arrow"', '"\x1f"'),
    "raw delete": replaced('"arrow"', '"\x7f"'),
    "unknown escape": replaced('"arrow"', '"\\a"'),
    "text of 300 letters": everywhere(exporter={"gfnet": "𝔵" * 300, "libraries": {}}),
    "text of 301 letters": everywhere(exporter={"gfnet": "𝔵" * 301, "libraries": {}}),
    "name of 200 letters": replaced('"architecture": "test_resnet"', f'"architecture": "{"𝔵" * 200}"'),
    "name of 201 letters": replaced('"architecture": "test_resnet"', f'"architecture": "{"𝔵" * 201}"'),
    "name with delete": replaced('"architecture": "test_resnet"', '"architecture": "a\\u007f"'),
    "name with line separator": replaced('"architecture": "test_resnet"', '"architecture": "a\\u2028"'),
    "library twice, wrong first": replaced('"libraries": {', '"libraries": {"x": 1, "x": "1", '),
    "library twice": replaced('"libraries": {', '"libraries": {"x": "0", "x": "1", '),
    "nameless library": replaced('"libraries": {', '"libraries": {"": "1", '),
    "weights stored in 8 bits": everywhere(precision="int8-storage"),
    "precision that does not exist": everywhere(precision="int8-storages"),
    "calibration for 8 bits": lambda text: everywhere(
        precision="int8", calibration={"images": 2147483647, "method": "entropy"}
    )(text),
    "calibration on too many": lambda text: everywhere(
        precision="int8", calibration={"images": 2147483648, "method": "entropy"}
    )(text),
    "no anytime accuracy": everywhere(anytime_top1=[]),
    "accuracy above all": everywhere(anytime_top1=[1, 2, 100.00001]),
    "no budgets": everywhere(budgets=[]),
    "budget without accuracy": lambda text: everywhere(
        budgets=[{"budget": 0, "thresholds": [1, -5, 1e300], "top1": None, "mean_macs": 0, "exit_distribution": []}]
    )(text),
    "budget that lacks accuracy": lambda text: everywhere(
        budgets=[{"budget": 0, "thresholds": [1, -5, 1e300], "mean_macs": 0, "exit_distribution": []}]
    )(text),
    "values that fit": everywhere(budgets=[0] * 19_000),
    "library by library": lambda text: everywhere(
        exporter={"gfnet": "1", "libraries": {f"library {index}": "1" for index in range(64)}}
    )(text),
    "one library more": lambda text: everywhere(
        exporter={"gfnet": "1", "libraries": {f"library {index}": "1" for index in range(65)}}
    )(text),
}


def test_both_readers_agree_where_readers_of_json_differ(verdicts):
    text = json.dumps(verdicts.content(), indent=2)
    for change in CASES.values():
        verdicts.add(change(text).encode())
    accepted = dict(zip(CASES, verdicts.compare(), strict=True))
    assert accepted["nothing"]
    assert not accepted["version twice"]
    assert not accepted["count twice"]
    assert accepted["budget without accuracy"]


# Every form of bundle that a manifest can describe: what Python's exporters write must be read.
def test_both_readers_accept_what_is_exported(verdicts, onnx_bundle, coreml_bundle, checker):
    for bundle in (onnx_bundle, coreml_bundle):
        done = subprocess.run(
            [str(checker), str(bundle.folder)], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        assert done.stdout == "ok\n"


def add_file(name: str) -> Callable[[Path], Any]:
    def add(package: Path) -> None:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(b"weights")

    return add


def link_out(package: Path) -> None:
    (package / "Manifest.json").rename(package.parents[1] / "elsewhere.json")
    (package / "Manifest.json").symlink_to(package.parents[1] / "elsewhere.json")


PACKAGES: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "as it was": (lambda package: None, True),
    "empty folder": (lambda package: (package / "Data" / "empty").mkdir(), True),
    "list written anew": (add_file("Manifest.json"), True),
    "no list": (lambda package: (package / "Manifest.json").unlink(), True),
    "beside the package": (add_file("../other.bin"), True),
    "other weights": (add_file("Data/com.apple.CoreML/weights/other.bin"), False),
    "hidden weights": (add_file(".weights.bin"), False),
    "list of a folder": (add_file("Data/Manifest.json"), False),
    "link to a folder": (lambda package: (package / "Data" / "link").symlink_to(package), False),
    "link to a file": (lambda package: (package / "link").symlink_to(package / "Manifest.json"), False),
    "pipe": (lambda package: os.mkfifo(package / "pipe"), False),
    "list from elsewhere": (link_out, False),
}


def test_both_readers_refuse_what_a_package_holds_besides(checker, coreml_bundle, tmp_path):
    folders = [shutil.copytree(coreml_bundle.folder, tmp_path / str(index) / "b") for index in range(len(PACKAGES))]
    for folder, (change, _) in zip(folders, PACKAGES.values(), strict=True):
        change(folder / "policy.mlpackage")
    command = [str(checker), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    swift = dict(zip(PACKAGES, (line == "ok" for line in done.stdout.splitlines()), strict=True))
    python = dict(zip(PACKAGES, (python_verdict(str(folder)) is None for folder in folders), strict=True))
    assert python == swift == {name: right for name, (_, right) in PACKAGES.items()}
