"""What ``gfnet verify`` looks at, and how it says what it found."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gfnet.escaping import Lines, as_lines
from gfnet_export.manifest import Manifest, preprocessing_of
from gfnet_export.pictures import true_class
from gfnet_export.squares import generated_squares, load_squares
from gfnet_export.verification import Verification


def read_squares(
    manifest: Manifest, images: Path | None, limit: int
) -> tuple[list[np.ndarray], list[int] | None, list[str]]:
    """Images as the network gets them.

    Args:
        images: file or folder; generated scenes without it.
        limit: how many images to take, evenly drawn.

    Returns:
        Squares uint8 [S,S,3]; their classes, if each lies in a folder that is called like one; and a message for each
        image that cannot be read.

    Raises:
        DataError: there are no images.
    """
    preprocessing = preprocessing_of(manifest)
    if images is None:
        return generated_squares(preprocessing, limit), None, []
    squares, files, unreadable = load_squares(preprocessing, images, limit)
    labels = manifest.labels or ()
    known = [labels.index(name) for file in files if (name := true_class(str(file), labels)) is not None]
    return squares, known if len(known) == len(squares) else None, unreadable


def verification_table(found: Verification) -> Lines:
    """Both tables and the gates that were not passed, as text."""
    lines = ["runtime            subgraph   output        largest       mean   relative    PSNR"]
    for item in found.differences:
        psnr = f"{item.psnr:4.0f} dB" if math.isfinite(item.psnr) else "  equal"
        lines.append(
            f"{item.runtime:<18} {item.subgraph:<10} {item.output:<12} {item.largest:8.2g}   {item.mean:8.2g}   "
            f"{item.relative:8.2g} {psnr}"
        )
    lines += [
        "",
        "runtime            images   same exit   same label   borderline   same patch   shift   margin     top-1",
    ]
    for row in found.decisions:
        top1 = "" if row.top1 is None else f"{row.top1:6.2f} %"
        shares = f"{row.same_exit:9.2%}   {row.same_label:10.2%}   {row.borderline:>10}   {row.same_patch:10.2%}"
        shift = f"{row.largest_shift:>2} px   {row.largest_margin:6.2g}"
        lines.append(f"{row.runtime:<18} {row.images:>6}   {shares}   {shift}   {top1}".rstrip())
    lines += ["", *(f"FAILED  {failure.runtime}: {failure.what}" for failure in found.failures)]
    gates = found.gates
    least = f"label {gates.same_label:.1%}, exit {gates.same_exit:.1%}, patch {gates.same_patch:.1%}"
    told = f"relative difference at most {gates.difference:g}; same {least} at least"
    return as_lines([*lines, f"the gates were: {told}" if found.failures else f"all gates passed: {told}"])
