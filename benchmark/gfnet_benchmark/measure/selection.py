"""What a run measures: bundles, their baselines, and each with every number of threads."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gfnet.console.output import say
from gfnet.errors import BundleError, DataError
from gfnet.extras import missing_package
from gfnet.shipped import shipped_bundle
from gfnet_benchmark.measure.fastest_settings import with_fastest_settings
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.runners import Settings
from gfnet_benchmark.measure.targets import Target, bundle_target, network_name, target_of
from gfnet_benchmark.measure.timing import Clock
from gfnet_export.bundle.manifest import Manifest
from gfnet_export.bundle.reader import Bundle, is_bundle, open_bundle
from gfnet_export.choices import Provider

_MOST_THREADS = 1024


def select_targets(
    bundles: Sequence[Bundle],
    photos: Photos,
    folder: Path,
    *,
    baselines: Sequence[str] = (),
    curve: bool = False,
    threads: Sequence[int] = (1,),
    provider: Provider = "cpu",
    exact_int8: bool = False,
    try_settings: bool = False,
    clock: Clock,
) -> list[Target]:
    """What :func:`gfnet_benchmark.measure.run.bench_onnx` measures.

    Args:
        photos: for 8-bit baselines and for trying settings.
        folder: where baselines are written.
        baselines: as :func:`gfnet_benchmark.measure.exporting.baseline_target` takes them, besides the bundles' own
            backbones on the full image.
        curve: baselines on smaller images and narrower ones too.
        threads: numbers of them; everything is measured with each.
        exact_int8: of everything that is int8; see :func:`gfnet_export.runtime.onnx_runtime.open_session`.
        try_settings: try ONNX Runtime's settings on each, and take its fastest.

    Raises:
        DataError: a baseline cannot be made, or something is given twice.
    """
    targets = [bundle_target(bundle) for bundle in bundles]
    targets = _with_distinct_names(targets + _baselines(bundles, photos, folder, baselines, curve))
    several = len(threads) > 1
    found = []
    for count in threads:
        settings = Settings(count, provider, exact_int8=exact_int8)
        for target in targets:
            name = f"{target.name}, {count} thread{'s' * (count > 1)}" if several else target.name
            found.append(dataclasses.replace(target, name=name, settings=settings))
    return [with_fastest_settings(target, photos, clock) for target in found] if try_settings else found


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


def open_bundles(sources: Sequence[str], photos: Photos, folder: Path) -> list[Bundle]:
    """Bundles; networks known by name are exported first, see :func:`named_bundle`.

    Args:
        photos: for networks in 8 bits.
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
        # A folder of photos may be called like a shipped network; what is meant is the network.
        shipped = None if is_bundle(source) else shipped_bundle(source)
        if "/" in source or shipped is not None or Path(source).exists():
            opened.append(open_bundle(shipped or source))
        else:
            try:
                from gfnet_benchmark.measure.exporting import named_bundle
            except ModuleNotFoundError as error:
                missing = missing_package(error.name or "", "onnx")
                if missing is None:
                    raise
                raise BundleError(
                    f"{source}: no such bundle folder; to export a network by its name {missing}"
                ) from None
            opened.append(named_bundle(source, folder, photos))
    return opened


def _baselines(
    bundles: Sequence[Bundle], photos: Photos, folder: Path, specs: Sequence[str], curve: bool
) -> list[Target]:
    try:
        from gfnet_benchmark.measure.exporting import baseline_target, default_baselines
    except ModuleNotFoundError as error:  # there is nothing to make a baseline with; a file can be given all the same
        missing = missing_package(error.name or "", "onnx")
        if missing is None or curve:
            raise
        say(f"gfnet: the networks' own backbones are not measured as baselines: {missing}", err=True)
        return [target_of(Path(spec)) for spec in specs]
    given = {_spec_of(open_bundle(spec).manifest) for spec in specs if is_bundle(spec)}
    wanted = [*specs, *(spec for spec in default_baselines(bundles, curve=curve) if spec not in given)]
    return [baseline_target(spec, bundles[0], folder, photos) for spec in dict.fromkeys(wanted)]


def _spec_of(manifest: Manifest) -> str:
    """What would make a baseline like this one."""
    precision = "" if manifest.precision == "fp32" else f":{manifest.precision}"
    return network_name(manifest) + precision


def _with_distinct_names(targets: Sequence[Target]) -> list[Target]:
    """Those of the same name by as much of their paths as sets them apart."""
    found = []
    for target in targets:
        name, depth = target.name, 1
        parts = (*target.path.resolve().parts[:-1], target.name)
        same = [other for other in targets if other is not target and other.name == target.name]
        while any((*other.path.resolve().parts[:-1], other.name)[-depth:] == parts[-depth:] for other in same):
            depth += 1
            if depth > len(parts):
                raise DataError(f"{target.path}: given more than once; give it once")
            name = "/".join(parts[-depth:])
        found.append(dataclasses.replace(target, name=name))
    return found
