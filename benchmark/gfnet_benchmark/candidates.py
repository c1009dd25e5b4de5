"""Networks, from checkpoints and bundles, with what their steps cost on a measured device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gfnet.errors import DataError
from gfnet.measurement import Subject, cumulative_latency, read_result
from gfnet.results import BudgetPoint
from gfnet_benchmark.contenders import network_name
from gfnet_benchmark.scheduling import Candidate
from gfnet_export.bundle import is_bundle, open_bundle
from gfnet_export.manifest import budget_points


def open_candidates(networks: Sequence[Path], devices: Sequence[Path]) -> tuple[Candidate, ...]:
    """Each network with its stored accuracies and its latencies on the device.

    Args:
        networks: checkpoints or bundles.
        devices: results of one device.

    Raises:
        DataError: the results are of several devices, or measure a network not, or in several forms.
        GFNetError: a network cannot be read.
    """
    results = [read_result(path) for path in devices]
    names = {result.machine.device for result in results}
    if len(names) > 1:
        raise DataError(f"results of several devices: {', '.join(sorted(names))}; give those of one")
    measured = [subject for result in results for subject in result.networks]
    return tuple(_open(path, measured) for path in networks)


def _open(path: Path, measured: Sequence[Subject]) -> Candidate:
    points: tuple[BudgetPoint, ...]
    anytime: tuple[float, ...]
    if is_bundle(path):
        manifest = open_bundle(path).manifest
        network = network_name(manifest)
        points, anytime, precision = budget_points(manifest), manifest.anytime_top1, manifest.precision
    else:
        from gfnet.checkpoint import load_checkpoint

        loaded = load_checkpoint(path)
        network, precision = loaded.model.config.name, None
        evaluation = loaded.evaluation
        points, anytime = (evaluation.budgeted, evaluation.anytime_top1) if evaluation is not None else ((), ())
    alike = [subject for subject in measured if subject.network == network]
    exact = [subject for subject in alike if subject.precision == precision] or alike
    if not exact:
        told = ", ".join(sorted({subject.network for subject in measured})) or "no network"
        raise DataError(f"{path}: is {network}, but the device's results measure {told}; measure this one there")
    if len(exact) > 1:
        told = ", ".join(f"{subject.name} ({subject.precision})" for subject in exact)
        raise DataError(f"{path}: {network} was measured as {told}; give a bundle, or a result of one of them")
    return Candidate(str(path), points, anytime, cumulative_latency(exact[0]))
