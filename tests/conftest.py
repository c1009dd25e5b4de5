"""Fixtures that several test files share."""

from __future__ import annotations

import pytest
from golden_support import RELEASED_NAMES, GoldenRun, golden_run


@pytest.fixture(scope="session", params=RELEASED_NAMES)
def released(request: pytest.FixtureRequest) -> GoldenRun:
    """Each released network in turn, run once on the golden images for all tests that look at it."""
    return golden_run(request.param)
