"""The papers' figures as numbers: curves of GFNets and markers of other networks, read from ``benchmark/reference``."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gfnet.config import RELEASED
from gfnet.errors import DataError
from gfnet.escaping import one_line

_BESIDE, _INSTALLED = Path(__file__).parents[2] / "reference", Path(__file__).parents[1] / "reference"
REFERENCE = _INSTALLED if _INSTALLED.is_dir() else _BESIDE
"""Folder of the CSV files: inside of the package once installed from a wheel, beside it in the repository."""


@dataclass(frozen=True, eq=False)
class Line:
    """One segment of one series: float64 [N] each, in the file's order.

    Attributes:
        cost: milliseconds, or multiply-adds.
        top1: percent.
    """

    cost: np.ndarray
    top1: np.ndarray


@dataclass(frozen=True, eq=False)
class Piece:
    """The part of GFNet's curve that one network makes, cheapest point first.

    Attributes:
        network: key of :data:`gfnet.config.RELEASED`.
        cost: milliseconds or multiply-adds, float64 [N], ascending.
        top1: percent, float64 [N].
        black: bool [N]: shown as GFNet's result; the rest is how the network goes on under another's curve.
    """

    network: str
    cost: np.ndarray
    top1: np.ndarray
    black: np.ndarray

    @property
    def junction(self) -> np.ndarray:
        """The corner where black turns to grey, bool [N]: another takes over there; perhaps no measured point."""
        return np.asarray(self.black & np.append(~self.black[1:], False))


@dataclass(frozen=True)
class Marker:
    """One network by itself.

    Attributes:
        cost: milliseconds or multiply-adds.
        top1: percent.
        network: ``<arch>@<pixels>`` as inferred from its accuracy and multiply-adds; ``None`` where that is not sure.
    """

    series: str
    cost: float
    top1: float
    network: str | None

    @property
    def title(self) -> str:
        """What the papers call it: ``Large 0.75``, ``ResNet-50``; the series where the network is not sure."""
        arch = (self.network or "").partition("@")[0]
        mobile = re.fullmatch(r"mobilenetv3_(small|large)_(\d)(\d+)", arch)
        if mobile is not None:
            return f"{mobile[1].capitalize()} {mobile[2]}.{mobile[3]}"
        for prefix, family in (("resnet", "ResNet"), ("densenet", "DenseNet")):
            if arch.startswith(prefix):
                return f"{family}-{arch.removeprefix(prefix)}"
        return self.series.removesuffix("s")


@dataclass(frozen=True)
class Source:
    """A latency figure, the multiply-adds figure of the same networks, and the error of both.

    Attributes:
        latency, macs: file names in :data:`REFERENCE`.
        rival: series that GFNet is compared with.
        anchor: network of that series to which a device is scaled.
        ms_error, macs_error, top1_error: of one corner, standard deviations as we use them.
    """

    title: str
    latency: str
    macs: str
    rival: str
    anchor: str
    ms_error: float
    macs_error: float
    top1_error: float


FIGURES: Mapping[str, Source] = {
    "mobilenetv3": Source(
        "Figure 5 (a): MobileNet-V3",
        "fig5a_mobilenetv3.csv",
        "fig4a_mobilenetv3.csv",
        "MobileNets-V3",
        "mobilenetv3_large_100@224",
        ms_error=0.005,
        macs_error=0.25e6,
        top1_error=0.005,
    ),
    "resnet": Source(
        "Figure 5 (b): ResNet",
        "fig5b_resnet.csv",
        "fig4d_resnet.csv",
        "ResNets",
        "resnet50@224",
        ms_error=0.05,
        macs_error=5e6,
        top1_error=0.004,
    ),
}
"""The two latency figures."""

_COSTS = ("latency_ms", "multiply_adds")
_PIECE = re.compile(r"piece(\d+)_(.+)_(\d+)_(black|grey)")
_MARKER = "marker"  # markers cut by the frame are "marker_clipped_unreliable", and left out
_ARCHS = {
    "MBV3-L1.00": "mobilenetv3_large_100",
    "MBV3-L1.25": "mobilenetv3_large_125",
    "RegNetY-600MF": "regnety_600m",
    "RegNetY-800MF": "regnety_800m",
    "RegNetY-1.6GF": "regnety_1.6g",
    "EffNet-B2": "efficientnet_b2",
    "EffNet-B3": "efficientnet_b3",
    "RN50": "resnet50",
    "DN121": "densenet121",
    "DN169": "densenet169",
    "DN201": "densenet201",
}
# Top-1, rounded to 0.1, tells the networks of one series apart.  Widths are those whose published multiply-adds are
# the markers' of Figure 4: 44, 57, 69, 91, 155 and 217 M; 1.82, 3.67 and 4.11 G; 2.85 and 3.36 G.
_MARKERS: Mapping[str, Mapping[float, str]] = {
    "MobileNets-V3": {
        65.4: "mobilenetv3_small_075@224",
        67.5: "mobilenetv3_small_100@224",
        68.8: "mobilenetv3_large_050@224",
        70.4: "mobilenetv3_small_125@224",
        73.5: "mobilenetv3_large_075@224",
        75.4: "mobilenetv3_large_100@224",
    },
    "ResNets": {69.8: "resnet18@224", 73.3: "resnet34@224", 76.1: "resnet50@224"},
    "DenseNets": {74.5: "densenet121@224", 76.0: "densenet169@224"},
}


def read_lines(path: Path) -> dict[tuple[str, str], Line]:
    """All segments of a figure's file, by series and segment.

    Raises:
        DataError: the file is missing, has other columns, or a row is not a point of a curve, which the message names.
    """
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream)
            columns = tuple(rows.fieldnames or ())
            cost = columns[2] if len(columns) == 4 else ""
            if columns != ("series", "segment", cost, "top1") or cost not in _COSTS:
                raise DataError(
                    f"{path}: columns {one_line(','.join(columns))}; a figure has series, segment, "
                    f"{' or '.join(_COSTS)}, top1; copy it again"
                )
            for row in rows:
                point = (_number(row[cost]), _number(row["top1"]))
                if None in row or not (0 < point[0] < math.inf and 0 < point[1] <= 100):
                    shown = one_line(",".join(str(value) for value in row.values()))
                    raise DataError(f"{path}: line {rows.line_num} ({shown}) is not a point of a curve; copy it again")
                points.setdefault((row["series"], row["segment"]), []).append(point)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; it belongs to benchmark/reference, install gfnet again") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file ({one_line(error)}); copy it again") from None
    if not points:
        raise DataError(f"{path}: holds no points; copy it again")
    return {key: Line(*np.array(values, np.float64).T) for key, values in points.items()}


def read_pieces(path: Path) -> tuple[Piece, ...]:
    """GFNet's curve, one piece a network, in the figure's order.

    Raises:
        DataError: as :func:`read_lines`; or a piece is of an unknown network, or its points do not ascend.
    """
    parts: dict[tuple[int, str], dict[str, Line]] = {}
    for (series, segment), line in read_lines(path).items():
        match = _PIECE.fullmatch(segment)
        if series == "GFNet" and match is not None:
            index, model, size, colour = match.groups()
            parts.setdefault((int(index), _network(path, model, size)), {})[colour] = line
    return tuple(_piece(path, network, lines) for (_, network), lines in sorted(parts.items()))


def read_markers(path: Path) -> tuple[Marker, ...]:
    """The networks by themselves, in the file's order; those cut by the figure's frame are left out.

    Raises:
        DataError: as :func:`read_lines`.
    """
    return tuple(
        Marker(series, float(cost), float(top1), _MARKERS.get(series, {}).get(round(float(top1), 1)))
        for (series, segment), line in read_lines(path).items()
        if segment == _MARKER
        for cost, top1 in zip(line.cost, line.top1, strict=True)
    )


@dataclass(frozen=True)
class Behind:
    """Published points as they are drawn behind measured ones.

    Attributes:
        relative: mean latencies, of MobileNet-V3-Large's on the full image.
        top1: percent, as many.
        line: whether they are one curve, or networks by themselves.
    """

    label: str
    relative: tuple[float, ...]
    top1: tuple[float, ...]
    line: bool


def published_behind() -> tuple[Behind, ...]:
    """Figure 5 (a): GFNet's curve, and the MobileNets-V3 by themselves."""
    source = FIGURES["mobilenetv3"]
    path = REFERENCE / source.latency
    markers = [marker for marker in read_markers(path) if marker.series == source.rival]
    anchor = next(marker.cost for marker in markers if marker.network == source.anchor)
    points = [
        (float(cost), float(top1))
        for piece in read_pieces(path)
        for cost, top1 in zip(piece.cost[piece.black], piece.top1[piece.black], strict=True)
    ]
    gfnet = tuple(zip(*sorted(points), strict=True))
    return (
        Behind("GFNet on an iPhone, published", tuple(ms / anchor for ms in gfnet[0]), gfnet[1], line=True),
        Behind(
            "MobileNet-V3 there",
            tuple(marker.cost / anchor for marker in markers),
            tuple(marker.top1 for marker in markers),
            line=False,
        ),
    )


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.nan


def _network(path: Path, model: str, size: str) -> str:
    for name, config in RELEASED.items():
        if config.arch == _ARCHS.get(model) and config.patch_size == int(size):
            return name
    raise DataError(f"{path}: {one_line(model)} at {size} is not a released network; copy the file again")


def _piece(path: Path, network: str, lines: Mapping[str, Line]) -> Piece:
    cost = np.concatenate([line.cost for line in lines.values()])
    top1 = np.concatenate([line.top1 for line in lines.values()])
    black = np.concatenate([np.full(line.cost.size, colour == "black") for colour, line in lines.items()])
    order = np.argsort(cost, kind="stable")
    if any(np.any(np.diff(line.cost) <= 0) for line in lines.values()) or np.any(np.diff(cost[order]) <= 0):
        raise DataError(f"{path}: the points of {network} do not ascend; copy the file again")
    return Piece(network, cost[order], top1[order], black[order])
