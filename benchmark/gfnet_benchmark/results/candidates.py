"""Networks, from checkpoints and bundles, with what their steps cost on a measured device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gfnet.errors import DataError
from gfnet.inference.budgets import BudgetPoint
from gfnet.results.files import read_result, split_source
from gfnet.results.schema import Subject, cumulative_latency
from gfnet_benchmark.measure.subjects import network_name, precision_name
from gfnet_benchmark.results.scheduling import Candidate
from gfnet_export.bundle.reader import is_bundle, open_bundle


def open_candidates(networks: Sequence[Path], devices: Sequence[str]) -> tuple[Candidate, ...]:
    """Each network with its stored accuracies and its latencies on the device.

    Args:
        networks: checkpoints or bundles.
        devices: results of one device; ``FILE#NAME`` takes one subject of it only.

    Raises:
        DataError: the results are of several devices, or measure a network not, or in several forms.
        GFNetError: a network cannot be read.
    """
    names: set[str] = set()
    measured: list[Subject] = []
    for source in devices:
        path, name = split_source(source)
        result = read_result(path)
        names.add(result.machine.device)
        measured += [result.subject(name)] if name else result.networks
    if len(names) > 1:
        raise DataError(f"results of several devices: {', '.join(sorted(names))}; give those of one")
    return tuple(_open(path, measured) for path in networks)


def _open(path: Path, measured: Sequence[Subject]) -> Candidate:
    points: tuple[BudgetPoint, ...]
    anytime: tuple[float, ...]
    if is_bundle(path):
        manifest = open_bundle(path).manifest
        network = network_name(manifest)
        points, anytime = manifest.budgets, manifest.anytime_top1
        precision = precision_name(manifest)
        form = f"{network} {precision} {manifest.layout}"
        found = [
            subject
            for subject in measured
            if (subject.network, subject.precision, subject.layout) == (network, precision, manifest.layout)
        ]
    else:
        from gfnet.checkpoint import load_checkpoint

        loaded = load_checkpoint(path)
        network = form = loaded.model.config.name
        evaluation = loaded.evaluation
        points, anytime = (evaluation.budgeted, evaluation.anytime_top1) if evaluation is not None else ((), ())
        found = [subject for subject in measured if subject.network == network]
    if len(found) == 1:
        return Candidate(str(path), points, anytime, cumulative_latency(found[0]))
    told = ", ".join(
        f"{subject.name} ({subject.network} {subject.precision} {subject.layout})" for subject in found or measured
    )
    if not found:
        raise DataError(f"{path}: is {form}, but the results measure {told or 'no network'}; measure this one there")
    raise DataError(f"{path}: {form} was measured as {told}; give one of them, by #NAME behind a result")
