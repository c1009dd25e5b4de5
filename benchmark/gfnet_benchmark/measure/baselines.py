"""The same backbone run once on the full image, its smaller versions, and other classifiers to compare with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from gfnet.config import model_config
from gfnet.errors import DataError
from gfnet.inference.images import Preprocessing
from gfnet.network.backbones import create_encoder
from gfnet_benchmark.measure.subjects import Entry
from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.manifest import preprocessing_of
from gfnet_export.bundle.reader import Bundle, is_bundle, open_bundle
from gfnet_export.choices import Precision
from gfnet_export.components import baseline_component
from gfnet_export.onnx.bundle import component_model
from gfnet_export.onnx.convert import save
from gfnet_export.onnx.int8 import quantize

SIZES = (96, 128, 160, 192, 224)
"""Inputs of a baseline's curve, pixels."""
NARROWER = {"mobilenetv3_large_100": ("mobilenetv3_large_075",)}
"""Narrower versions of a backbone, which the published figure compares with too."""
_SPEC = re.compile(r"(?P<arch>[A-Za-z0-9_.]+)@(?P<size>\d+)(:(?P<precision>[a-z0-9-]+))?")


def default_baselines(bundles: Sequence[Bundle], *, curve: bool = False) -> list[str]:
    """What the bundles have to beat, as :func:`baseline_entry` takes it.

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


def baseline_entry(spec: str, bundle: Bundle, folder: Path, photos: Sequence[Any] = ()) -> Entry:
    """A baseline as it was asked for.

    Args:
        spec: an ONNX file, a bundle's folder, or ``backbone@size`` with ``:precision`` behind it, if wanted: that
            backbone is written to ``folder`` with random weights, since latency does not depend on them.
        bundle: whose classes and preprocessing the backbone gets.
        photos: pictures to find the activations' ranges of ``int8`` on.

    Raises:
        DataError: it is none of the three.
        GFNetError: the backbone is unknown, or does not take images of that size.
    """
    if Path(spec).exists():
        path = Path(spec)
        if is_bundle(path) and open_bundle(path).manifest.steps > 1:
            raise DataError(f"--baseline {spec}: a bundle of several steps; a baseline looks once, at the whole image")
        return Entry(path.stem if path.suffix == ".onnx" else path.name, path)
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise DataError(f"--baseline {spec}: no such file, nor BACKBONE@SIZE such as mobilenetv3_large_100@160")
    precision: Any = match["precision"] or "fp32"
    if precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise DataError(f"--baseline {spec}: unknown precision {precision!r}; use one of {known}")
    return _write(match["arch"], int(match["size"]), precision, bundle, folder, photos)


def _write(arch: str, size: int, precision: Precision, bundle: Bundle, folder: Path, photos: Sequence[Any]) -> Entry:
    manifest = bundle.manifest
    like = preprocessing_of(manifest)
    preprocessing = Preprocessing(size, round(like.resize_size * size / like.image_size), like.interpolation)
    config = model_config(arch, size, 1, num_classes=manifest.num_classes, image_size=size)
    encoder = create_encoder(config.arch, config.num_classes, size)
    model = component_model(baseline_component(encoder, config), precision)
    if precision == "int8":
        squares = [preprocessing(photo) for photo in photos]
        planes = [np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32) for square in squares]
        model, _ = quantize(model, [{names.IMAGE: plane} for plane in planes])
    network = f"{arch}@{size}"
    path = folder / f"{network}-{precision}.onnx"
    save(model, path)
    name = network if precision == "fp32" else f"{network} {precision}"
    return Entry(name, path, network=network, precision=precision, preprocessing=preprocessing)
