"""What the papers' latency figure says by itself: the time of every length, the exit rule, the ratio to MobileNet-V3.

A published point is a mean over images, so it is the sum over lengths of the share of images that stop there times
the cumulative latency of that length.  Two roads lead from the points to the latencies of the lengths.  By way of
multiply-adds (:func:`fit_cost`): both figures show the same networks, so at equal accuracy milliseconds are affine in
multiply-adds, and those of every length are known.  From the latency figure alone (:func:`fit_grid`): if the shares
are those of the papers' rule, only the latencies are unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gfnet.config import RELEASED
from gfnet.errors import DataError
from gfnet_benchmark.paper.published import FIGURES, REFERENCE, Marker, Piece, Source, read_markers, read_pieces

GRID = np.arange(1, 40) / 20
"""The quotients that the official code searches thresholds for: 0.05, 0.10 .. 1.95."""
EXPLAINED = 2.0
"""The rule explains a piece if its residual is at most this many times the digitisation error."""
NOT_REPRODUCED = (
    "the milliseconds of the iPhone XS Max, GFNet's and the others': they need that phone and the runtime of its day",
    "the accuracies: they need the 50,000 validation photos of ImageNet and the released weights",
    "who stopped where: the shares are inferred from the published means; counting them needs photos and weights",
)
"""What no other machine can check, in so many words."""


@dataclass(frozen=True)
class GridFit:
    """Latencies of the lengths from the latency figure alone, if shares follow the papers' rule.

    Attributes:
        first_index: of the grid, 1 .. 39, at which the piece's first point lies; the others follow one by one.
        lengths_ms: cumulative, lengths 1 .. T, where every further step costs the same.
        errors_ms: standard errors from the digitisation error, enlarged by as much as the residuals exceed it.
        rms_ms, worst_ms: residuals.
        other_rms_ms: residual of the second-best first index, if there is one; where it is close to ``rms_ms`` the
            index is not settled.
        explained: share of the latencies' variance.
        free_ms, free_errors_ms, free_rms_ms: the same with a latency of its own for every length.
    """

    first_index: int
    lengths_ms: tuple[float, ...]
    errors_ms: tuple[float, ...]
    rms_ms: float
    worst_ms: float
    other_rms_ms: float | None
    explained: float
    free_ms: tuple[float, ...]
    free_errors_ms: tuple[float, ...]
    free_rms_ms: float


@dataclass(frozen=True)
class CostFit:
    """Latencies of the lengths by way of multiply-adds.

    Attributes:
        intercept_ms, ms_per_million: latency = intercept + slope · multiply-adds, at equal accuracy.
        lengths_ms: cumulative, lengths 1 .. T.
        errors_ms: standard errors, as in :class:`GridFit`.
        rms_ms, worst_ms: residuals of ``points`` points.
    """

    intercept_ms: float
    ms_per_million: float
    lengths_ms: tuple[float, ...]
    errors_ms: tuple[float, ...]
    rms_ms: float
    worst_ms: float
    points: int


@dataclass(frozen=True, eq=False)
class PieceFit:
    """Everything about one network's piece.

    Attributes:
        macs: multiply-adds of lengths 1 .. T.
        quotients: of the geometric shares whose mean, with the latencies of ``by_cost``, is the published latency,
            float64 [N].
        spacing: by how many places of the grid a black point lies from the one before it, on average; 1 by the rule.
        spaced_rms_ms: residual of geometric shares whose quotients lie evenly at that spacing, wherever the first lies.
        excess: residual of ``by_grid`` over the digitisation error.
    """

    piece: Piece
    macs: tuple[int, ...]
    by_grid: GridFit
    by_cost: CostFit
    quotients: np.ndarray
    spacing: float
    spaced_rms_ms: float
    excess: float

    @property
    def explained(self) -> bool:
        """Whether the papers' rule, as it stands, explains the points."""
        return self.excess <= EXPLAINED


@dataclass(frozen=True)
class EqualAccuracyRatio:
    """GFNet and one other network at that network's accuracy; ``None`` where the curve does not reach it.

    Attributes:
        gfnet_ms: least mean latency at which the curve is at least as accurate.
        ratio: GFNet's latency over the other's.
    """

    marker: Marker
    gfnet_ms: float | None
    ratio: float | None


@dataclass(frozen=True, eq=False)
class FigureFit:
    """A latency figure and what follows from it.

    Attributes:
        markers: all networks of the figure by themselves.
        ratios: one for each marker of the series that GFNet is compared with, cheapest first.
    """

    name: str
    source: Source
    pieces: tuple[PieceFit, ...]
    markers: tuple[Marker, ...]
    ratios: tuple[EqualAccuracyRatio, ...]


def count_macs(name: str) -> dict[str, tuple[int, ...]]:
    """Multiply-adds of lengths 1 .. T of every network in a figure, from networks without weights.  Needs torch."""
    import torch

    from gfnet.network.cost import cumulative_macs
    from gfnet.network.model import GFNet

    networks = [piece.network for piece in read_pieces(REFERENCE / _source(name).latency)]
    with torch.device("meta"):
        return {network: cumulative_macs(GFNet(RELEASED[network])) for network in networks}


def fit_figure(name: str, macs: Mapping[str, Sequence[int]]) -> FigureFit:
    """Fit every piece of a figure of :data:`FIGURES`, and compare its curve with its rivals.

    Args:
        macs: multiply-adds of lengths 1 .. T of every network of the figure, as :func:`count_macs` gives them.

    Raises:
        DataError: no such figure, a file of it is damaged, or ``macs`` lacks a network.
    """
    source = _source(name)
    costs = {piece.network: piece for piece in read_pieces(REFERENCE / source.macs)}
    fits = []
    for piece in read_pieces(REFERENCE / source.latency):
        if piece.network not in macs or piece.network not in costs:
            raise DataError(f"no multiply-adds of {piece.network}, which {source.latency} shows; count or copy them")
        fits.append(_fit_piece(piece, costs[piece.network], macs[piece.network], source))
    markers = read_markers(REFERENCE / source.latency)
    rivals = sorted((m for m in markers if m.series == source.rival), key=lambda marker: marker.cost)
    ratios = ratios_at_equal_accuracy([fit.piece for fit in fits], rivals)
    return FigureFit(name, source, tuple(fits), markers, ratios)


def exit_shares(steps: int, quotients: np.ndarray) -> np.ndarray:
    """Share of the images that stop at each step, float64 [N, steps]: proportional to q, q², .. q^T.

    Args:
        quotients: q ≥ 0, float64 [N]; nobody goes beyond step 1 at 0.
    """
    # Over q, so that q = 0 is no division by zero.
    shares = np.asarray(quotients, np.float64)[:, None] ** np.arange(steps)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def find_quotients(mean_ms: np.ndarray, lengths_ms: Sequence[float]) -> np.ndarray:
    """The quotients at which the lengths' mean is ``mean_ms``, float64 [N] in [0, 20]; the inverse of the mean."""
    low, high = np.zeros(len(mean_ms)), np.full(len(mean_ms), 20.0)
    for _ in range(60):
        middle = (low + high) / 2
        above = exit_shares(len(lengths_ms), middle) @ np.asarray(lengths_ms) > mean_ms
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return low


def fit_grid(latency_ms: np.ndarray, steps: int, error_ms: float, skip: np.ndarray | None = None) -> GridFit:
    """Latencies of the lengths, and the first point's place on the grid, from latencies of successive places.

    Every first index is tried; the one with the least residual counts whose lengths ascend.  One latency for the first
    step and one for every further step are fitted: a latency of its own for each length fits any first index almost
    equally well.

    Args:
        latency_ms: published means, float64 [N], ascending.
        error_ms: standard deviation of one.
        skip: bool [N], points that take a place of the grid but may not lie there.

    Raises:
        DataError: too few points, or no lengths that ascend would explain them.
    """
    used = np.ones(len(latency_ms), bool) if skip is None else ~skip
    if used.sum() <= max(2, steps):
        raise DataError(f"{int(used.sum())} points cannot tell {steps} lengths apart; use a piece with more")
    together = np.column_stack([np.ones(steps), np.arange(steps)])  # lengths = together @ (first step, further step)

    def shares(first: int) -> np.ndarray:
        return np.asarray(exit_shares(steps, GRID[first - 1 :][: len(latency_ms)])[used])

    residuals: dict[int, float] = {}
    for first in range(1, len(GRID) - len(latency_ms) + 2):
        times, residual, _ = _least_squares(shares(first) @ together, latency_ms[used], error_ms)
        if np.all(times > 0):
            residuals[first] = _rms(residual)
    if not residuals:
        raise DataError("no ascending latencies of the lengths explain the points; are they in ascending order?")
    first, *others = sorted(residuals, key=lambda index: residuals[index])
    times, residual, covariance = _least_squares(shares(first) @ together, latency_ms[used], error_ms)
    free, free_residual, free_covariance = _least_squares(shares(first), latency_ms[used], error_ms)
    return GridFit(
        first_index=first,
        lengths_ms=_floats(together @ times),
        errors_ms=_floats(np.sqrt(np.diag(together @ covariance @ together.T))),
        rms_ms=residuals[first],
        worst_ms=float(np.abs(residual).max()),
        other_rms_ms=residuals[others[0]] if others else None,
        explained=1 - float(residual.var() / latency_ms[used].var()),
        free_ms=_floats(free),
        free_errors_ms=_floats(np.sqrt(np.diag(free_covariance))),
        free_rms_ms=_rms(free_residual),
    )


def fit_cost(latency: Piece, cost: Piece, macs: Sequence[int], source: Source) -> CostFit:
    """Latencies of the lengths from a network's pieces in both figures.

    Every point of the latency figure gets the multiply-adds at which the other figure shows its accuracy; where that
    curve is flat they are uncertain, and the point weighs less.

    Raises:
        DataError: fewer than three points lie on both curves.
    """
    rising = cost.top1 > np.maximum.accumulate(np.append(0.0, cost.top1[:-1]))
    top1, million = cost.top1[rising], cost.cost[rising] / 1e6
    shared = (latency.top1 >= top1[0]) & (latency.top1 <= top1[-1])
    if shared.sum() < 3:
        raise DataError(f"{latency.network}: fewer than three points lie on both curves; copy the figures' files again")
    means, at = latency.cost[shared], np.interp(latency.top1[shared], top1, million)
    part = np.clip(np.searchsorted(top1, latency.top1[shared], side="right") - 1, 0, len(top1) - 2)
    flat = (np.diff(million) / np.diff(top1))[part]
    # Both top-1 readings are off, hence the 2.
    uncertain = np.hypot(source.macs_error / 1e6, np.sqrt(2) * source.top1_error * flat)
    slope = float(np.polyfit(at, means, 1)[0])
    design = np.column_stack([np.ones(len(at)), at])
    errors = np.hypot(source.ms_error, slope * uncertain)
    (intercept, slope), residual, covariance = _least_squares(design, means, errors)
    lengths = np.column_stack([np.ones(len(macs)), np.asarray(macs) / 1e6])
    return CostFit(
        intercept_ms=float(intercept),
        ms_per_million=float(slope),
        lengths_ms=_floats(lengths @ (intercept, slope)),
        errors_ms=_floats(np.sqrt(np.diag(lengths @ covariance @ lengths.T))),
        rms_ms=_rms(residual),
        worst_ms=float(np.abs(residual).max()),
        points=int(shared.sum()),
    )


def ratios_at_equal_accuracy(pieces: Sequence[Piece], markers: Sequence[Marker]) -> tuple[EqualAccuracyRatio, ...]:
    """GFNet's latency over every marker's at the marker's accuracy.

    Below the curve's first point there is no ratio: the cheapest network would win by being less accurate than it
    could be made.
    """
    least = min(float(piece.top1[0]) for piece in pieces)
    found = []
    for marker in markers:
        reached = [cost for piece in pieces if (cost := _cost_at(piece, marker.top1)) is not None]
        if reached and marker.top1 >= least:
            found.append(EqualAccuracyRatio(marker, min(reached), min(reached) / marker.cost))
        else:
            found.append(EqualAccuracyRatio(marker, None, None))
    return tuple(found)


def mean_ratio(ratios: Sequence[EqualAccuracyRatio]) -> float | None:
    """Mean over the markers that the curve reaches; ``None`` if it reaches none."""
    known = [ratio.ratio for ratio in ratios if ratio.ratio is not None]
    return float(np.mean(known)) if known else None


def _source(name: str) -> Source:
    if name not in FIGURES:
        raise DataError(f"no figure {name}; use one of {', '.join(FIGURES)}")
    return FIGURES[name]


def _fit_piece(latency: Piece, cost: Piece, macs: Sequence[int], source: Source) -> PieceFit:
    by_grid = fit_grid(latency.cost, len(macs), source.ms_error, latency.junction)
    by_cost = fit_cost(latency, cost, macs, source)
    quotients = find_quotients(latency.cost, by_cost.lengths_ms)
    # Under another piece's line a corner may be hidden, so only the black ones count as successive.
    places = np.flatnonzero(latency.black & ~latency.junction)
    even = np.polyfit(places, quotients[places] * 20, 1)
    spaced = exit_shares(len(macs), np.maximum(np.polyval(even, places) / 20, 0)) @ by_cost.lengths_ms
    return PieceFit(
        piece=latency,
        macs=tuple(macs),
        by_grid=by_grid,
        by_cost=by_cost,
        quotients=quotients,
        spacing=float(even[0]),
        spaced_rms_ms=_rms(spaced - latency.cost[places]),
        excess=by_grid.rms_ms / source.ms_error,
    )


def _cost_at(piece: Piece, top1: float) -> float | None:
    """Least cost at which a piece is at least ``top1`` percent accurate, along its lines."""
    best = np.maximum.accumulate(piece.top1)
    if top1 > best[-1]:
        return None
    after = int(np.searchsorted(best, top1))
    if after == 0:
        return float(piece.cost[0])
    # best[after - 1] < top1 <= best[after]: this line is the first to reach it.
    low, high = piece.top1[after - 1], piece.top1[after]
    share = (top1 - low) / (high - low)
    return float(piece.cost[after - 1] + share * (piece.cost[after] - piece.cost[after - 1]))


def _least_squares(
    design: np.ndarray, target: np.ndarray, error: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted solution, plain residuals, and the covariance, enlarged where residuals exceed the errors."""
    weight = 1 / np.broadcast_to(error, target.shape)
    solution = np.linalg.lstsq(design * weight[:, None], target * weight, rcond=None)[0]
    residual = target - design @ solution
    freedom = max(1, len(target) - design.shape[1])
    excess = max(1.0, float(np.sum((residual * weight) ** 2)) / freedom)
    weighted = design * weight[:, None]
    return solution, residual, np.linalg.pinv(weighted.T @ weighted) * excess


def _rms(residual: np.ndarray) -> float:
    return float(np.sqrt(np.mean(residual**2)))


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
