"""Who takes part in a run: bundles, their baselines, and each at every number of threads."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gfnet.console.output import say
from gfnet.errors import BundleError, DataError, ImageError
from gfnet.extras import missing_package
from gfnet.inference.images import load_image
from gfnet.shipped import shipped_network
from gfnet_benchmark.measure.interleaving import WARMUP_IMAGES
from gfnet_benchmark.measure.settings import with_best_settings
from gfnet_benchmark.measure.subjects import Entry, Settings, network_name
from gfnet_benchmark.measure.timing import Clock
from gfnet_export.bundle.manifest import Manifest
from gfnet_export.bundle.reader import Bundle, is_bundle, open_bundle
from gfnet_export.choices import Provider

_MOST_THREADS = 1024
CALIBRATED_ON = 32
"""Photos on which ranges of 8-bit activations are found."""


def line_up(
    bundles: Sequence[Bundle],
    images: Sequence[Path],
    folder: Path,
    *,
    baselines: Sequence[str] = (),
    curve: bool = False,
    threads: Sequence[int] = (1,),
    provider: Provider = "cpu",
    exact_int8: bool = False,
    sweep: bool = False,
    clock: Clock,
) -> list[Entry]:
    """What :func:`gfnet_benchmark.measure.run.bench_onnx` measures.

    Args:
        images: photos, for 8-bit baselines and for trying settings.
        folder: where baselines are written.
        baselines: as :func:`gfnet_benchmark.measure.baselines.baseline_entry` takes them, besides the bundles' own
            backbones on the full image.
        curve: baselines on smaller images and narrower ones too.
        threads: numbers of them; everything takes part once with each.
        exact_int8: of everything that is int8; see :func:`gfnet_export.runtime.onnx_runtime.open_session`.
        sweep: try ONNX Runtime's settings on each, and take its best.

    Raises:
        DataError: a baseline is not to be had.
    """
    entries = [Entry(bundle.folder.resolve().name, bundle.folder) for bundle in bundles]
    entries += _baselines(bundles, images, folder, baselines, curve)
    entries = _apart(entries)
    several = len(threads) > 1
    found = []
    for count in threads:
        for entry in entries:
            settings = Settings(count, provider, exact_int8=exact_int8)
            name = f"{entry.name}, {count} thread{'s' * (count > 1)}" if several else entry.name
            found.append(dataclasses.replace(entry, name=name, settings=settings))
    if sweep:
        photos = _readable(images, WARMUP_IMAGES)
        found = [with_best_settings(entry, photos, clock) for entry in found]
    return found


def thread_counts(text: str) -> tuple[int, ...]:
    """Numbers of threads as given by a person: ``1`` or ``1,2``.

    Raises:
        DataError: it is not a list of such numbers.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= _MOST_THREADS for part in parts):
        raise DataError(
            f"--threads {text!r}: give a number from 1 to {_MOST_THREADS}, or several with commas between them"
        )
    return tuple(dict.fromkeys(int(part) for part in parts))


def open_bundles(sources: Sequence[str], images: Sequence[Path], folder: Path) -> list[Bundle]:
    """Bundles; networks known by name are exported first, see :func:`named_bundle`.

    Args:
        images: photos, for networks in 8 bits.
        folder: where those bundles are written.

    Raises:
        BundleError: a bundle is missing, or not what its manifest says.
        DataError: a network's name is unknown.
    """
    opened = []
    for source in sources:
        if Path(source).is_file():
            raise BundleError(
                f"{source}: a file; give a bundle's folder, as `gfnet export onnx` makes it of a checkpoint"
            )
        # A folder of photos may have the name of a shipped network; the network is meant.
        folder_meant = Path(source).exists() and (is_bundle(source) or shipped_network(source) is None)
        if "/" in source or folder_meant:
            opened.append(open_bundle(source))
        else:
            try:
                from gfnet_benchmark.measure.named_networks import named_bundle
            except ModuleNotFoundError as error:
                missing = missing_package(error.name or "", "onnx")
                if missing is None:
                    raise
                raise BundleError(
                    f"{source}: no such bundle folder; to export a network by its name {missing}"
                ) from None
            photos = _readable(images, CALIBRATED_ON) if ":int8" in source else ()
            opened.append(named_bundle(source, folder, photos))
    return opened


def _baselines(
    bundles: Sequence[Bundle], images: Sequence[Path], folder: Path, specs: Sequence[str], curve: bool
) -> list[Entry]:
    try:
        from gfnet_benchmark.measure.baselines import baseline_entry, default_baselines
    except ModuleNotFoundError as error:  # there is nothing to make a baseline with; a file can be given all the same
        missing = missing_package(error.name or "", "onnx")
        if missing is None or curve:
            raise
        say(f"gfnet: no baseline of our own: {missing}", err=True)
        return [Entry(Path(spec).stem, Path(spec)) for spec in specs]
    known = {_spec_of(open_bundle(spec).manifest) for spec in specs if is_bundle(spec)}
    wanted = [*specs, *(spec for spec in default_baselines(bundles, curve=curve) if spec not in known)]
    eight_bits = any(":int8" in spec for spec in wanted)
    photos = [load_image(path) for path in _readable(images, CALIBRATED_ON)] if eight_bits else []
    return [baseline_entry(spec, bundles[0], folder, photos) for spec in dict.fromkeys(wanted)]


def _spec_of(manifest: Manifest) -> str:
    """What would make a baseline like this one."""
    precision = "" if manifest.precision == "fp32" else f":{manifest.precision}"
    return network_name(manifest) + precision


def _readable(images: Sequence[Path], count: int) -> list[Path]:
    found: list[Path] = []
    for path in images:
        if len(found) == count:
            break
        with contextlib.suppress(ImageError):
            load_image(path)
            found.append(path)
    if not found:
        raise DataError(f"none of {len(images)} images could be read")
    return found


def _apart(entries: Sequence[Entry]) -> list[Entry]:
    """Those of the same name by as much of their paths as sets them apart."""
    found = []
    for entry in entries:
        name, depth = entry.name, 1
        parts = (*entry.path.resolve().parts[:-1], entry.name)
        same = [other for other in entries if other is not entry and other.name == entry.name]
        while any((*other.path.resolve().parts[:-1], other.name)[-depth:] == parts[-depth:] for other in same):
            depth += 1
            if depth > len(parts):
                raise DataError(f"{entry.path}: is given twice; give it once")
            name = "/".join(parts[-depth:])
        found.append(dataclasses.replace(entry, name=name))
    return found
