"""Networks by name: shipped ones, and released ones with random weights, since latency does not depend on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from gfnet.checkpoint import Checkpoint, load_checkpoint
from gfnet.config import RELEASED
from gfnet.errors import DataError
from gfnet.inference.images import Preprocessing, load_image
from gfnet.network.model import GFNet
from gfnet.shipped import shipped_names, shipped_network
from gfnet_export.bundle.reader import Bundle
from gfnet_export.choices import Precision
from gfnet_export.onnx.bundle import export_onnx

_SPEC = re.compile(r"(?P<name>[A-Za-z0-9_.-]+?)(:(?P<precision>[a-z0-9-]+))?(?P<fused>\+fused)?")


def named_bundle(spec: str, folder: Path, photos: Sequence[Path] = ()) -> Bundle:
    """Export a network that is known by name.

    Args:
        spec: its name, with ``:precision`` and ``+fused`` behind it, if wanted.
        folder: where the bundle's folder goes.
        photos: readable ones, for ``int8``.

    Raises:
        DataError: the name is unknown.
    """
    match = _SPEC.fullmatch(spec)
    checkpoint = _checkpoint(match["name"]) if match is not None else None
    if match is None or checkpoint is None:
        known = ", ".join((*shipped_names(), *RELEASED))
        raise DataError(f"{spec}: no such bundle, nor a known network's name; those are {known}")
    precision: Any = match["precision"] or "fp32"
    if precision not in get_args(Precision):
        raise DataError(f"{spec}: unknown precision {precision!r}; use one of {', '.join(get_args(Precision))}")
    squares: list[np.ndarray] = []
    if precision == "int8":
        way = Preprocessing.of(checkpoint.model.config)
        squares = [way(load_image(photo)) for photo in photos]
    return export_onnx(
        checkpoint,
        folder / re.sub(r"[:+]", "-", spec),
        precision=precision,
        layout="fused" if match["fused"] else "split",
        calibration=squares,
    )


def _checkpoint(name: str) -> Checkpoint | None:
    if shipped_network(name) is not None:
        return load_checkpoint(name)
    if name not in RELEASED:
        return None
    torch.manual_seed(0)
    return Checkpoint(GFNet(RELEASED[name]).eval())
