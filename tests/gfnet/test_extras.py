from __future__ import annotations

import ast
import sys

import pytest

from gfnet.errors import MissingPackageError
from gfnet.extras import missing_package, require
from test_structure import MODULES

SMALLEST = {
    **{"torch": "train", "yaml": "train", "onnxruntime": "runtime", "onnx": "onnx", "coremltools": "coreml"},
    **{"coreai": "coreai", "coreai_torch": "coreai"},
}


@pytest.mark.parametrize(("module", "extra"), SMALLEST.items())
def test_the_smallest_extra_is_named(module, extra):
    assert f"[{extra}]" in str(missing_package(module))


def test_the_extra_that_was_wanted_is_named_if_it_helps():
    assert "[coreml]" in str(missing_package("torch.nn", "coreml"))
    assert "[train]" in str(missing_package("torch", "runtime"))


def test_what_is_always_installed_has_no_extra():
    assert 'pip install "gfnet"' in str(missing_package("PIL"))


@pytest.mark.parametrize("module", ["gfnet.nonsense", "gfnet_export.nonsense", "nonsense", "json"])
def test_what_no_extra_brings_is_a_fault_of_ours(module):
    assert missing_package(module) is None


def test_every_package_that_is_imported_anywhere_belongs_to_an_extra():
    imported = set()
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))
    tops = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names)
    ours = {"gfnet", "gfnet_export", "gfnet_benchmark"}
    only_on_a_mac = {"CoreML", "Foundation", "objc"}
    assert len(tops) > 10
    assert {top for top in tops - ours - only_on_a_mac if missing_package(top) is None} == set()


def test_long_work_asks_first(monkeypatch):
    require("json")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"\[report\]"):
        require("matplotlib")
    with pytest.raises(ModuleNotFoundError):
        require("gfnet_nonsense")
