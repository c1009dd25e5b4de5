"""The Swift package builds without warnings, passes its own tests and is formatted."""

from __future__ import annotations

import pytest

from swift_support import IOS_DEMO, PACKAGE, STRICT, need_swift, run


@pytest.fixture(autouse=True)
def toolchain() -> None:
    need_swift()


def test_the_package_builds_without_warnings():
    done = run("swift", "build", *STRICT, "--build-tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning:" not in done.stdout + done.stderr


def test_the_package_s_own_tests_pass():
    done = run("swift", "test", *STRICT)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-10_000:]


def test_every_source_is_formatted():
    done = run(
        "swift", "format", "lint", "--strict", "--recursive", "--configuration", IOS_DEMO / ".swift-format", *sources()
    )
    assert done.returncode == 0, done.stderr[-10_000:]


def sources():
    """All Swift files."""
    found = sorted(IOS_DEMO.rglob("*.swift"))
    assert len(found) > 50
    return [PACKAGE / "Package.swift", *found]
