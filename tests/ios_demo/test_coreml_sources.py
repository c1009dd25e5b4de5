"""What only Apple's systems compile is checked against stubs of their frameworks."""

from __future__ import annotations

import shutil
import sys

import pytest

from swift_support import IOS_DEMO, need_swift, run

STUBS = IOS_DEMO / "Stubs"


@pytest.fixture(autouse=True)
def toolchain() -> None:
    need_swift()
    if sys.platform == "darwin":
        pytest.skip("here the frameworks themselves are at hand; `swift build` checks against them")


def test_sources_for_apple_s_systems_fit_the_frameworks(tmp_path):
    done = run(STUBS / "typecheck.sh", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "typecheck: clean" in done.stdout


@pytest.mark.slow
def test_a_call_that_no_framework_has_would_be_found(tmp_path):
    copy = tmp_path / "ios_demo"
    for name in ("Stubs", "GFNetKit/Sources"):
        shutil.copytree(IOS_DEMO / name, copy / name)
    file = copy / "GFNetKit" / "Sources" / "GFNetKit" / "CoreML" / "ManagedModel.swift"
    file.write_text(file.read_text().replace("model = nil", "model?.evaporate()"))
    done = run(copy / "Stubs" / "typecheck.sh", tmp_path)
    assert done.returncode != 0
    assert "evaporate" in done.stderr
