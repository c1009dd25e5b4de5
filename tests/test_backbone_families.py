"""One small member of every timm family, all the way or refused, as docs/backbones.md says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
from timm.models import list_models, list_modules

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "docs" / "backbones.md").read_text()
ROW = re.compile(
    r"\| (\w+) \| `?([\w.]*)`? \| (\d*) \| (works|trains|exports|refused|crashes torch|untried) \| (.*) \|"
)
ROWS = {row[1]: row for row in map(ROW.fullmatch, TABLE.splitlines()) if row}
WALKED = [family for family, row in ROWS.items() if row[4] != "untried"]


def test_every_family_has_a_row():
    if f"timm {timm.__version__}," not in TABLE:
        pytest.skip(f"the table is of another timm than {timm.__version__}")
    assert list(ROWS) == list_modules()
    for family in WALKED:
        assert ROWS[family][2] in list_models(module=family)


def verdict_of(member, side):
    """What became of a member, and why; in a process that may crash."""
    worker = ROOT / "tests" / "backbone_worker.py"
    # -P: beside the worker lies tests/gfnet, which would hide the package.
    command = [sys.executable, "-P", worker, member, side]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode < 0:
        return "crashes torch", f"signal {-done.returncode}"
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.nightly
@pytest.mark.parametrize("family", WALKED)
def test_a_family_does_what_the_table_says(family):
    _, member, side, told, reason = ROWS[family].groups()
    verdict, why = verdict_of(member, side)
    assert verdict in (("works", "trains", "exports") if told == "trains" else (told,)), why
    if told == "refused":
        assert reason in why
