"""The Swift toolchain, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
"""The repository's root, where Swift's package manager wants the package's manifest."""

IOS_DEMO = PACKAGE / "ios_demo"
KIT = IOS_DEMO / "GFNetKit"
FIXTURES = KIT / "Tests" / "GFNetKitTests" / "Fixtures"
REQUIRED = "GFNET_SWIFT"
"""Environment variable; ``required`` fails a test that would be skipped for want of a toolchain."""

STRICT = ("-Xswiftc", "-warnings-as-errors")
"""For every build, or the next one starts anew.  Not in Package.swift: Xcode may refuse flags that it calls unsafe."""

_PATIENCE = 1200  # seconds: a first build on a busy machine


def need_swift() -> None:
    """Skip the test where there is no Swift toolchain, or fail it where there must be one."""
    if shutil.which("swift") is None:
        reason = "no Swift toolchain: the phone's code is not tested here; install one from swift.org"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(reason)
        pytest.skip(reason)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in the Swift package's folder."""
    return subprocess.run(
        [str(part) for part in command], cwd=PACKAGE, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )


def built(product: str) -> Path:
    """The executable of a product of the package, built if need be."""
    need_swift()
    command = ("swift", "build", *STRICT, "--product", product)
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(run(*command, "--show-bin-path").stdout.strip()) / product
