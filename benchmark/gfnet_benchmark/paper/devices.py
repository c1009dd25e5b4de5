"""A measured device beside the papers' figure: the curve that the published networks would have on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gfnet.config import RELEASED
from gfnet.errors import DataError
from gfnet.results.schema import Result, Subject, cumulative_latency
from gfnet_benchmark.paper.published import Marker, Piece
from gfnet_benchmark.paper.recovery import EqualAccuracyRatio, FigureFit, exit_shares, ratios_at_equal_accuracy


@dataclass(frozen=True)
class Device:
    """What one run measured on one machine.

    Attributes:
        cumulative_ms: milliseconds of lengths 1 .. T by network, named as in :data:`gfnet.config.RELEASED`.
        baselines_ms: milliseconds of networks by themselves, named ``<arch>@<pixels>``.

    Raises:
        DataError: a time is not above 0, or the times of the lengths do not ascend.
    """

    name: str
    cumulative_ms: Mapping[str, tuple[float, ...]]
    baselines_ms: Mapping[str, float]

    def __post_init__(self) -> None:
        for network, lengths in self.cumulative_ms.items():
            if not lengths or not np.all(np.diff([0.0, *lengths]) > 0):
                raise DataError(f"{self.name}: the lengths of {network} do not ascend ({lengths}); measure it again")
        for network, latency in self.baselines_ms.items():
            if not latency > 0:
                raise DataError(f"{self.name}: {network} takes {latency} ms; measure it again")


@dataclass(frozen=True, eq=False)
class DeviceCurve:
    """A device's part of a figure, in the device's own milliseconds.

    Attributes:
        pieces: GFNet's curve with the published accuracies and exit shares; ``cost`` is milliseconds.
        missing: networks of the figure that the device did not measure.
        markers: the rivals that the device measured, or that can be scaled from its anchor, in the published order.
        measured: for each of them, whether it was measured; the others are the published times, scaled.
        scale: published milliseconds of the anchor over the device's; ``None`` where it measured no anchor, and
            the curve can be shown plain only.
        ratios: one for each of ``markers``.
    """

    device: Device
    pieces: tuple[Piece, ...]
    missing: tuple[str, ...]
    markers: tuple[Marker, ...]
    measured: tuple[bool, ...]
    scale: float | None
    ratios: tuple[EqualAccuracyRatio, ...]


def devices_from(result: Result) -> tuple[Device, ...]:
    """What a result of ``gfnet bench onnx`` or of the phone measured, one device for each precision, units and threads.

    Raises:
        DataError: the result measures no network that the papers released.
    """
    found: dict[tuple[str, ...], dict[str, tuple[float, ...]]] = {}
    for subject in result.networks:
        if subject.network in RELEASED:
            key = (*_ran(subject), subject.precision, subject.layout)
            if subject.network in found.get(key, {}):  # the same form of the same network again
                told = f"{subject.network} was measured twice in {subject.precision}"
                raise DataError(f"{subject.name}: {told}; give a result with one of them")
            found.setdefault(key, {})[subject.network] = cumulative_latency(subject)
    if not found:
        measured = ", ".join(sorted({subject.network for subject in result.networks})) or "no network"
        raise DataError(f"{measured}: the papers released no such network, so no figure has it; measure one of theirs")
    devices = []
    for (*ran, precision, layout), cumulative_ms in found.items():
        baselines: dict[str, float] = {}
        for subject in result.classifiers:
            if _ran(subject) == tuple(ran):  # of several forms the fastest
                known = baselines.get(subject.network, np.inf)
                baselines[subject.network] = min(known, subject.loop.typical_ms)
        form = precision if layout == "split" else f"{precision} {layout}"
        devices.append(Device(", ".join((result.machine.device, *ran, form)), cumulative_ms, baselines))
    return tuple(devices)


def _ran(subject: Subject) -> tuple[str, ...]:
    """On what a subject ran, in words."""
    runtime = subject.runtime
    threads = (f"{runtime.threads} thread{'s' * (runtime.threads > 1)}",) if runtime.threads else ()
    return (f"{runtime.name} {runtime.version}", runtime.compute_units, *threads)


def device_curve(figure: FigureFit, device: Device) -> DeviceCurve:
    """The figure as it would look on ``device``: its times, the papers' exit shares and accuracies.

    A published point of quotient q has the mean time ``sum over k of share_k(q) · cumulative_k``, where the quotient is
    the one that gives the published latency with the phone's own lengths.

    Raises:
        DataError: the device measured no network of the figure, or one with another number of steps.
    """
    pieces = []
    for fit in figure.pieces:
        lengths = device.cumulative_ms.get(fit.piece.network)
        if lengths is not None:
            if len(lengths) != len(fit.macs):
                raise DataError(
                    f"{device.name}: {len(lengths)} lengths of {fit.piece.network}, which has {len(fit.macs)}; "
                    "measure every step"
                )
            means = exit_shares(len(lengths), fit.quotients) @ np.asarray(lengths)
            pieces.append(dataclasses.replace(fit.piece, cost=means))
    if not pieces:
        shown = ", ".join(fit.piece.network for fit in figure.pieces)
        raise DataError(f"{device.name}: has measured no network of {figure.source.title}; measure one of {shown}")
    anchor = next(marker for marker in figure.markers if marker.network == figure.source.anchor)
    own = device.baselines_ms.get(figure.source.anchor)
    markers, measured = [], []
    for marker in sorted((ratio.marker for ratio in figure.ratios), key=lambda marker: marker.cost):
        latency = device.baselines_ms.get(marker.network or "")
        if latency is not None or own is not None:
            scaled = latency if latency is not None else marker.cost * (own or 0.0) / anchor.cost
            markers.append(dataclasses.replace(marker, cost=scaled))
            measured.append(latency is not None)
    return DeviceCurve(
        device=device,
        pieces=tuple(pieces),
        missing=tuple(fit.piece.network for fit in figure.pieces if fit.piece.network not in device.cumulative_ms),
        markers=tuple(markers),
        measured=tuple(measured),
        scale=anchor.cost / own if own is not None else None,
        ratios=ratios_at_equal_accuracy(pieces, markers),
    )
