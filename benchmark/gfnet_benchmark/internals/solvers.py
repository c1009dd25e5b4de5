"""``gfnet bench solvers``: optimal thresholds against the papers' rule, on images that neither saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gfnet.checkpoint import Checkpoint
from gfnet.data import open_split
from gfnet.data.batches import PixelDataset
from gfnet.data.classes import pair_split
from gfnet.evaluation import Predictions, find_optimal_thresholds, find_thresholds, predict_split
from gfnet.inference.exits import exit_steps
from gfnet.network.cost import cumulative_macs

_GRID = 100  # costs at which the curves are compared
_SEED = 0  # of the bootstrap


def bench_solvers(
    checkpoint: Checkpoint,
    search: Path,
    report: Path,
    *,
    resamples: int = 200,
    batch_size: int = 64,
    class_map: str | None = None,
) -> dict[str, Any]:
    """Find thresholds with both solvers on one folder of images, and compare them on another.

    Args:
        class_map: how classes of the data map to the network's, see :func:`gfnet.data.classes.pair_split`.

    Raises:
        DataError: a folder is missing, or does not fit the network's classes.
    """
    model = checkpoint.model
    splits = [
        pair_split(open_split(folder), checkpoint.labels, model.config.num_classes, class_map)
        for folder in (search, report)
    ]
    found_on, measured_on = (
        predict_split(model, PixelDataset(split, model.config), batch_size=batch_size, title=split.root.name)[0]
        for split in splits
    )
    return compare_solvers(found_on, measured_on, cumulative_macs(model), resamples=resamples)


def compare_solvers(
    search: Predictions, report: Predictions, macs: Sequence[float], *, resamples: int = 200
) -> dict[str, Any]:
    """Gains in percentage points at matched average cost.

    Both curves of accuracy over cost are interpolated at the same costs, over the range that both reach.

    Args:
        search: where both solvers find their thresholds.
        report: where they are compared.
        resamples: of the reported images, for the standard errors; thresholds stay as they are.

    Returns:
        ``images``, ``search_images``, ``seconds`` of the optimal search, and of the optimal solver over the geometric
        one ``mean_gain``, ``largest_gain``, ``largest_loss``, each with ``.._error``; ``cost`` and ``gain``, the curve
        of gains.
    """
    geometric, _ = find_thresholds(search, macs)
    start = time.perf_counter()
    optimal, _ = find_optimal_thresholds(search, macs)
    seconds = time.perf_counter() - start
    # [K,n] each: what every image costs and whether it is answered rightly.
    outcomes = [_outcomes(report, rows, macs) for rows in (geometric, optimal)]
    images = len(report.labels)
    everyone = np.ones(images)
    bounds = [(cost @ everyone / images) for cost, _ in outcomes]
    costs = np.linspace(max(b.min() for b in bounds), min(b.max() for b in bounds), _GRID)

    def gains(weights: np.ndarray) -> np.ndarray:
        curves = [_interpolate(costs, cost @ weights / images, right @ weights / images) for cost, right in outcomes]
        return np.asarray(100 * (curves[1] - curves[0]))

    gain = gains(everyone)
    rng = np.random.default_rng(_SEED)
    drawn = np.array([gains(rng.multinomial(images, everyone / images)) for _ in range(resamples)])
    best, worst = int(gain.argmax()), int(gain.argmin())
    return {
        "images": images,
        "search_images": len(search.labels),
        "seconds": seconds,
        "mean_gain": float(gain.mean()),
        "mean_gain_error": float(drawn.mean(1).std()),
        "largest_gain": float(gain[best]),
        "largest_gain_error": float(drawn[:, best].std()),
        "largest_loss": float(max(0.0, -gain[worst])),
        "largest_loss_error": float(drawn[:, worst].std()),
        "cost": [float(v) for v in costs],
        "gain": [float(v) for v in gain],
    }


def _outcomes(predictions: Predictions, rows: np.ndarray, macs: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    exits = np.array([exit_steps(predictions.confidence, row) for row in rows])
    right = np.take_along_axis(predictions.correct, exits, axis=0)
    return np.asarray(macs, np.float32)[exits], right.astype(np.float32)


def _interpolate(at: np.ndarray, cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    order = np.argsort(cost, kind="stable")
    return np.asarray(np.interp(at, cost[order], accuracy[order]))
