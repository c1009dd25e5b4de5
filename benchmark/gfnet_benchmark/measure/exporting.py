"""Networks and baselines that are known by their names, exported to ONNX for one benchmark.

Released networks and baselines get random weights, since latency does not depend on them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch

from gfnet.checkpoint import Checkpoint, load_checkpoint
from gfnet.config import RELEASED, model_config
from gfnet.errors import DataError
from gfnet.inference.images import Preprocessing
from gfnet.network.backbones import create_encoder
from gfnet.network.model import GFNet
from gfnet.shipped import shipped_bundle, shipped_names
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.targets import Target, classifier_target, target_of
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.manifest import preprocessing_of
from gfnet_export.bundle.reader import Bundle, is_bundle, open_bundle
from gfnet_export.choices import Precision
from gfnet_export.components import baseline_component
from gfnet_export.onnx.bundle import component_model, export_onnx
from gfnet_export.onnx.convert import save
from gfnet_export.onnx.int8 import quantize

CALIBRATED_ON = 32
"""Photos on which the ranges of 8-bit activations are found."""
SIZES = (96, 128, 160, 192, 224)
"""Inputs of a baseline's curve, pixels."""
NARROWER = {"mobilenetv3_large_100": ("mobilenetv3_large_075",)}
"""Narrower versions of a backbone, which the published figure compares with too."""
_NETWORK = re.compile(r"(?P<name>[A-Za-z0-9_.-]+?)(:(?P<precision>[a-z0-9-]+))?(?P<fused>\+fused)?")
_BASELINE = re.compile(r"(?P<arch>[A-Za-z0-9_.]+)@(?P<size>\d+)(:(?P<precision>[a-z0-9-]+))?")


def named_bundle(spec: str, folder: Path, photos: Photos) -> Bundle:
    """Export a network that is known by name.

    Args:
        spec: its name, with ``:precision`` and ``+fused`` behind it if wanted.
        folder: where the bundle's folder goes.
        photos: for ``int8``.

    Raises:
        DataError: there is no such name.
    """
    match = _NETWORK.fullmatch(spec)
    checkpoint = _checkpoint(match["name"]) if match is not None else None
    if match is None or checkpoint is None:
        known = ", ".join((*shipped_names(), *RELEASED))
        raise DataError(f"{spec}: no such bundle, nor a known network's name; those are {known}")
    precision = _precision(match["precision"], spec)
    way = Preprocessing.of(checkpoint.model.config)
    return export_onnx(
        checkpoint,
        folder / re.sub(r"[:+]", "-", spec),
        precision=precision,
        layout="fused" if match["fused"] else "split",
        calibration=photos.first(CALIBRATED_ON, way) if precision == "int8" else [],
    )


def _checkpoint(name: str) -> Checkpoint | None:
    if shipped_bundle(name) is not None:
        return load_checkpoint(name)
    if name not in RELEASED:
        return None
    torch.manual_seed(0)
    return Checkpoint(GFNet(RELEASED[name]).eval())


def _precision(text: str | None, spec: str) -> Precision:
    if text is not None and text not in get_args(Precision):
        raise DataError(f"{spec}: no precision {text!r}; use one of {', '.join(get_args(Precision))}")
    return cast(Precision, text or "fp32")


def default_baselines(bundles: Sequence[Bundle], *, curve: bool = False) -> list[str]:
    """What the bundles have to beat, as :func:`baseline_target` takes it.

    Each one's backbone on the full image, in fp32 and, where a bundle has weights of 8 bits but computes in fp32, in
    that form too.

    Args:
        curve: smaller images, and narrower backbones, too.
    """
    found = []
    for bundle in bundles:
        manifest = bundle.manifest
        arch, full = manifest.architecture, manifest.preprocessing.image_size
        found.append(f"{arch}@{full}")
        if manifest.precision in ("int8-heads", "int8-vectors"):
            found.append(f"{arch}@{full}:{manifest.precision}")
        if curve:
            sizes = [size for size in SIZES if size < full] + [full]
            found += [f"{other}@{size}" for other in (arch, *NARROWER.get(arch, ())) for size in sizes]
    return list(dict.fromkeys(found))


def baseline_target(spec: str, bundle: Bundle, folder: Path, photos: Photos) -> Target:
    """A baseline as it was asked for.

    Args:
        spec: an ONNX file, a bundle's folder, or ``backbone@size`` with ``:precision`` behind it if wanted: that
            backbone is written to ``folder``.
        bundle: whose classes and preprocessing the backbone gets.
        photos: for ``int8``.

    Raises:
        DataError: it is none of these, or an ONNX file that is not a classifier of one image.
        GFNetError: there is no such backbone, or it takes no image of that size.
    """
    if Path(spec).exists():
        path = Path(spec)
        if is_bundle(path) and open_bundle(path).manifest.steps > 1:
            raise DataError(f"--baseline {spec}: a bundle of several steps; a baseline looks once, at the whole image")
        return target_of(path)
    match = _BASELINE.fullmatch(spec)
    if match is None:
        raise DataError(f"--baseline {spec}: no such file, nor BACKBONE@SIZE such as mobilenetv3_large_100@160")
    precision = _precision(match["precision"], f"--baseline {spec}")
    return _write(match["arch"], int(match["size"]), precision, bundle, folder, photos)


def _write(arch: str, size: int, precision: Precision, bundle: Bundle, folder: Path, photos: Photos) -> Target:
    manifest = bundle.manifest
    like = preprocessing_of(manifest)
    preprocessing = Preprocessing(size, round(like.resize_size * size / like.image_size), like.interpolation)
    config = model_config(arch, size, 1, num_classes=manifest.num_classes, image_size=size)
    encoder = create_encoder(config.arch, config.num_classes, size)
    model = component_model(baseline_component(encoder, config), precision)
    if precision == "int8":
        squares = photos.first(CALIBRATED_ON, preprocessing)
        planes = [np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32) for square in squares]
        model, _ = quantize(model, [{names.IMAGE: plane} for plane in planes])
    network = f"{arch}@{size}"
    path = folder / f"{network}-{precision}.onnx"
    save(model, path)
    name = network if precision == "fp32" else f"{network} {precision}"
    return classifier_target(path, name, network, preprocessing, precision)
