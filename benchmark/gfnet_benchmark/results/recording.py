"""Recorded runs, from wherever they were measured, in one folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from gfnet.results.files import read_result, write_result_file
from gfnet.results.schema import Result


def record(paths: Sequence[Path], folder: Path) -> list[tuple[Path, Result, bool]]:
    """Check results, then write all of them into a folder, or none.

    Returns:
        For each: where it lies now, what it says, and whether it is new there.

    Raises:
        DataError: one of them is not a valid result.
        GFNetError: the folder cannot be written.
    """
    results = [read_result(path) for path in paths]
    recorded = []
    for result in results:
        target = folder / file_name(result)
        new = not target.exists()
        if new:
            write_result_file(target, result)
        recorded.append((target, result, new))
    return recorded


def file_name(result: Result) -> str:
    """A name that says device, network and day, and differs for every other result."""
    networks = [subject.network for subject in (result.networks or result.subjects)]
    what = networks[0] if len(set(networks)) == 1 else f"{networks[0]}-and-others"
    digest = hashlib.sha256(result.model_dump_json().encode()).hexdigest()[:8]
    return f"{_plain(result.machine.device)}-{_plain(what)}-{result.created[:10]}-{digest}.json"


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "unnamed"
