"""What ``gfnet verify`` looks at, and how it says what it found."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gfnet.errors import ImageError
from gfnet.images import every_nth, find_images, load_image
from gfnet.progress import Progress
from gfnet.synth import CLASSES, SceneConfig, draw_scene
from gfnet_export.manifest import Manifest, preprocessing_of
from gfnet_export.pictures import true_class
from gfnet_export.verification import Verification

_SCENES = 40


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
        generator = np.random.default_rng(0)
        config = SceneConfig(size=max(manifest.preprocessing.image_size, 32))
        scenes = (draw_scene(index % len(CLASSES), generator, config) for index in range(min(limit, _SCENES)))
        return [preprocessing(scene) for scene in scenes], None, []
    squares, classes, unreadable = [], [], []
    chosen = every_nth(find_images([images]), limit)
    with Progress("read", len(chosen), "images") as progress:
        for file in chosen:
            try:
                squares.append(preprocessing(load_image(file)))
                classes.append(true_class(str(file), manifest.labels))
            except ImageError as error:
                unreadable.append(str(error))
            progress.advance()
    labels = manifest.labels or ()
    known = [labels.index(name) for name in classes if name is not None]
    return squares, known if len(known) == len(squares) else None, unreadable


def verification_table(found: Verification) -> str:
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
    return "\n".join(lines if found.failures else [*lines, "all gates passed"])
