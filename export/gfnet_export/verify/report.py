"""What ``gfnet verify`` looks at, and how it says what it found."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gfnet.data.classes import label_photos
from gfnet.escaping import Lines, as_lines
from gfnet_export.bundle.manifest import Manifest, preprocessing_of
from gfnet_export.squares import generated_squares, load_squares
from gfnet_export.verify.verification import Verification


def read_squares(
    manifest: Manifest, images: Path | None, limit: int, class_map: str | None = None
) -> tuple[list[np.ndarray], list[int] | None, list[str]]:
    """Images as the network gets them.

    Args:
        images: file or folder; generated scenes without it.
        limit: how many images to take, evenly drawn.
        class_map: how their folders map to the network's classes, see :func:`gfnet.data.classes.label_photos`.

    Returns:
        Squares uint8 [S,S,3]; their classes, if they lie in folders of classes; and a message for each image that
        cannot be read.

    Raises:
        DataError: there are no images, or they lie in folders of other classes.
    """
    preprocessing = preprocessing_of(manifest)
    if images is None:
        return generated_squares(preprocessing, limit), None, []
    squares, files, unreadable = load_squares(preprocessing, images, limit)
    return squares, label_photos(files, manifest.labels, manifest.num_classes, class_map), unreadable


def verification_table(found: Verification) -> Lines:
    """What differs, both tables and the gates that were not passed, as text."""
    if found.other_values:
        altered = [f"{finding.runtime} {finding.what}" for finding in found.failures]
        return as_lines([f"not the same network: {'; '.join([*found.other_values, *altered])}"])
    lines = ["runtime            subgraph   output        largest       mean   relative    PSNR"]
    for item in found.differences:
        psnr = f"{item.psnr:4.0f} dB" if math.isfinite(item.psnr) else "  equal"
        lines.append(
            f"{item.runtime:<18} {item.subgraph:<10} {item.output:<12} {item.largest:8.2g}   {item.mean:8.2g}   "
            f"{item.relative:8.2g} {psnr}"
        )
    lines += [
        "",
        "runtime            images   same exit   same label   borderline   same patch   near patch   shift   margin   "
        "  top-1",
    ]
    for row in found.decisions:
        top1 = "" if row.top1 is None else f"{row.top1:.2f} %"
        shares = f"{row.same_exit:9.2%}   {row.same_label:10.2%}   {row.borderline:>10}   {row.same_patch:10.2%}"
        shift = f"{row.near_patch:10.2%}   {row.largest_shift:>2} px   {row.largest_margin:6.2g}   {top1:>7}"
        lines.append(f"{row.runtime:<18} {row.images:>6}   {shares}   {shift}".rstrip())
    lines += [
        "",
        *(f"FAILED  {finding.runtime}: {finding.what}" for finding in found.failures),
        *(f"UNDECIDED  {finding.runtime}: {finding.what}" for finding in found.undecided),
    ]
    gates = found.gates
    least = f"label {gates.same_label:.1%}, exit {gates.same_exit:.1%}, patch {gates.near_patch:.1%}"
    near = f", patches within {gates.shift} px" if gates.shift else ""
    told = f"relative difference at most {gates.difference:g}; same {least} at least{near}"
    ends = {"passed": "all gates passed", "failed": "failed; the gates were", "undecided": "undecided; the gates were"}
    return as_lines([*lines, f"{ends[found.outcome]}: {told}"])
