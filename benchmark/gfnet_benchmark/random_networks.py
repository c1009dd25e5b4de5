"""Released networks with random weights, for their latency, which does not depend on weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from gfnet.checkpoint import Checkpoint
from gfnet.config import RELEASED
from gfnet.errors import DataError
from gfnet.images import Preprocessing, load_image
from gfnet.model import GFNet
from gfnet_export.bundle import Bundle
from gfnet_export.manifest import Precision
from gfnet_export.onnx_bundle import export_onnx

_SPEC = re.compile(r"(?P<name>[A-Za-z0-9_.]+)(:(?P<precision>[a-z0-9-]+))?(?P<fused>\+fused)?")


def random_bundle(spec: str, folder: Path, photos: Sequence[Path] = ()) -> Bundle:
    """Export a released network with random weights.

    Args:
        spec: its name, with ``:precision`` and ``+fused`` behind it if liked.
        folder: where the bundle's folder goes.
        photos: readable ones, for ``int8``.

    Raises:
        DataError: it is no such name.
    """
    match = _SPEC.fullmatch(spec)
    config = RELEASED.get(match["name"]) if match is not None else None
    if match is None or config is None:
        known = ", ".join(RELEASED)
        raise DataError(f"{spec}: no such bundle, nor a released network's name; those are {known}")
    precision: Any = match["precision"] or "fp32"
    if precision not in get_args(Precision):
        raise DataError(f"{spec}: no precision {precision!r}; use one of {', '.join(get_args(Precision))}")
    torch.manual_seed(0)
    way = Preprocessing(config.image_size, config.resize_size, config.interpolation)
    squares: list[np.ndarray] = []
    if precision == "int8":
        squares = [way(load_image(photo)) for photo in photos]
    return export_onnx(
        Checkpoint(GFNet(config).eval()),
        folder / re.sub(r"[:+]", "-", spec),
        precision=precision,
        layout="fused" if match["fused"] else "split",
        calibration=squares,
    )
