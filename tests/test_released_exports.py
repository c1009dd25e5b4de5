"""The fourteen released networks, exported in every plain form, and the table of them in ``docs/results/exports.md``.

``GFNET_UPDATE_TABLE=1`` writes a network's row instead of comparing it.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

from gfnet.checkpoint import Checkpoint
from gfnet.config import RELEASED
from gfnet.files.writing import write_text
from gfnet_export.bundle.manifest import preprocessing_of
from gfnet_export.bundle.reader import Bundle
from gfnet_export.coreml.bundle import export_coreml
from gfnet_export.mil.package import read_package
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.squares import generated_squares
from gfnet_export.verify.gates import GATES
from gfnet_export.verify.verification import verify
from golden_support import recipe_model

TABLE = Path(__file__).parents[1] / "docs" / "results" / "exports.md"
FORMS = {
    "onnx fp32": lambda checkpoint, out: export_onnx(checkpoint, out),
    "onnx fp16": lambda checkpoint, out: export_onnx(checkpoint, out, precision="fp16"),
    "coreml fp32": lambda checkpoint, out: export_coreml(checkpoint, out, precision="fp32"),
    "coreml fp16": lambda checkpoint, out: export_coreml(checkpoint, out),
}
IMAGES = 8


@dataclass(frozen=True)
class Measured:
    """One network in one form: bytes, seconds, operator types, and what verification found."""

    size: int
    seconds: float
    operators: frozenset[str]
    difference: float
    same_label: float
    same_patch: float


def operators(bundle: Bundle) -> frozenset[str]:
    found: set[str] = set()
    for graph in bundle.manifest.subgraphs:
        path = bundle.path_of(graph)
        if bundle.manifest.format == "onnx":
            found |= {node.op_type for node in onnx.load(path).graph.node}
        else:
            found |= {op.type for op in read_package(path).function(graph.function).operations if op.type != "const"}
    return frozenset(found)


def measure(checkpoint: Checkpoint, form: str, out: Path) -> Measured:
    start = time.perf_counter()
    bundle = FORMS[form](checkpoint, out)
    seconds = time.perf_counter() - start
    found = verify(bundle, checkpoint, generated_squares(preprocessing_of(bundle.manifest), IMAGES))
    first = found.differences[0].runtime
    return Measured(
        size=bundle.bytes,
        seconds=seconds,
        operators=operators(bundle),
        difference=max(item.relative for item in found.differences if item.runtime == first),
        same_label=found.decisions[1].same_label,
        same_patch=found.decisions[1].same_patch,
    )


def row(name: str, measured: list[Measured]) -> str:
    """A network's line of the table; four values are of the forms in :data:`FORMS`, in that order."""

    def cell(text):
        return " / ".join(text(item) for item in measured)

    cells = (
        f"`{name}`",
        cell(lambda item: f"{item.size / 1e6:.1f}"),
        cell(lambda item: f"{item.seconds:.0f}"),
        cell(lambda item: str(len(item.operators))),
        cell(lambda item: f"{item.difference:.0e}"),
        cell(lambda item: f"{100 * item.same_label:.0f}"),
        cell(lambda item: f"{100 * item.same_patch:.0f}"),
    )
    return f"| {' | '.join(cells)} |"


def numbers(cell: str) -> list[float]:
    return [float(value) for value in cell.split("/")]


@pytest.mark.nightly
@pytest.mark.parametrize("name", RELEASED)
def test_a_released_network_exports_in_every_form(name, tmp_path):
    checkpoint = Checkpoint(recipe_model(RELEASED[name]), None, None)
    measured = [measure(checkpoint, form, tmp_path / form.replace(" ", "_")) for form in FORMS]
    for form, item in zip(FORMS, measured, strict=True):
        assert item.difference < GATES[form.split()[1]].difference, form
    whole, half = measured[0].size, measured[1].size
    assert 0.49 * whole < half < 0.52 * whole
    line = row(name, measured)
    text = TABLE.read_text()
    (told,) = [old for old in text.splitlines() if old.startswith(f"| `{name}`")]
    if os.environ.get("GFNET_UPDATE_TABLE"):
        write_text(TABLE, text.replace(told, line))
        return
    ours, theirs = ([cell.strip() for cell in which.split("|")[2:-1]] for which in (line, told))
    assert numbers(ours[0]) == pytest.approx(numbers(theirs[0]), rel=0.02), "size"
    assert numbers(ours[2]) == numbers(theirs[2]), "operator types"
    for now, then in zip(numbers(ours[3]), numbers(theirs[3]), strict=True):
        assert now < 10 * then, "largest difference"


def test_the_table_has_every_released_network():
    assert re.findall(r"^\| `([\w.]+_p\d+_T\d+)` \|", TABLE.read_text(), re.MULTILINE) == list(RELEASED)
