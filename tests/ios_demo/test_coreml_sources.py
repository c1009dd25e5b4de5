"""What only Apple's systems compile is checked against stubs of their frameworks."""

from __future__ import annotations

import re
import shutil
import sys

import pytest

from swift_support import IOS_DEMO, PACKAGE, need_swift, run

STUBS = IOS_DEMO / "Stubs"
DOCS = PACKAGE / "docs"


@pytest.fixture(autouse=True)
def toolchain() -> None:
    need_swift()
    if sys.platform == "darwin":
        pytest.skip("here the frameworks themselves are at hand; `swift build` checks against them")


def test_sources_for_apple_s_systems_fit_the_frameworks(tmp_path):
    done = run(STUBS / "typecheck.sh", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "typecheck: clean" in done.stdout
    example = re.search(r"```swift\n(let bundle = .+?)```", (DOCS / "phone.md").read_text(), re.DOTALL)
    file = tmp_path / "Example.swift"
    file.write_text(
        f"import Foundation\nimport GFNetKit\nfunc show(folder: URL, data: Data) async throws {{\n{example[1]}}}\n"
    )
    done = run("swiftc", "-typecheck", "-parse-as-library", "-swift-version", "6", "-I", tmp_path, file)
    assert done.returncode == 0, done.stderr


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
