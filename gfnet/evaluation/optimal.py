"""Thresholds that use the labels: the most accurate exits under an average budget.

The papers' rule (:mod:`gfnet.inference.exits`) lets every step go a fixed share of the images and never looks at
labels.  Here the thresholds themselves are what is optimised: with the images that reach a step sorted by
confidence, the ones that gain nothing from a further step should stop.

How: a multiplier turns the budget into a price, accuracy - price · cost.  With the other steps' thresholds
fixed, the best threshold of one step is found exactly by one cumulative sum, over confidences, of (value of
stopping here - value of going on).  Steps are taken from the last to the first until nothing changes, from
several starts.  Prices are those of the chords of the accuracy-cost hull that brackets each budget.  The hull
has gaps, so a last search of the same kind maximises accuracy itself among the thresholds that keep to the
budget.

Single labels are noise: a threshold that was fitted to them does not carry over to other images.  The search
therefore counts an answer half with its label and half with how likely its confidence makes it right
(:func:`gfnet.evaluation.metrics.isotonic_accuracy`).  On three demo networks that gained 0.18 points on
other images, labels alone 0.13; the number of candidates made no difference from 32 upwards.

One pass over the steps takes O(T·(n + candidates)); a budget takes about 100 of them, and budgets share what was
found.  With every candidate the search is exact for two steps; for more it goes by coordinates.  It found the
optimum of every small problem of three and four steps that could be tried out in full, and on 3,400 images of a
demo network missed at most 7 right answers of any budget.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gfnet.errors import BudgetError
from gfnet.evaluation.metrics import isotonic_accuracy
from gfnet.inference.exits import ALWAYS, NEVER, exit_steps

CANDIDATES = 256
"""Thresholds that are tried for a step, at equal shares of the images; more gain nothing on other images."""

_STARTS = 4  # of each search
_HELD = 24  # indices at which a step is held in turn
_LATTICE = 400  # sets of thresholds that are measured before any search
_MOST_CHORDS = 24  # of one budget
_ROUNDING = 1e-9  # relative; costs are sums of floats


def optimal_thresholds(
    confidence: np.ndarray,
    correct: np.ndarray,
    cost: Sequence[float],
    budgets: Sequence[float],
    starts: np.ndarray,
    *,
    candidates: int | None = CANDIDATES,
    smooth: bool = True,
) -> np.ndarray:
    """The most accurate thresholds found whose average cost on these images is at most each budget.

    Thresholds lie midway between neighbouring confidences, and in the middle of the range where nothing changes.

    Args:
        confidence: float32 [T, n], in [0, 1].
        correct: bool [T, n], whether each step's answer is right.
        cost: T cumulative costs, ascending, in any unit.
        budgets: average costs per image, in the same unit.
        starts: float32 [K, T], thresholds to start from, the geometric ones say.  No result answers fewer of these
            images rightly than the best of them within its budget.
        candidates: thresholds tried for each step; ``None`` tries all that tell these images apart.
        smooth: steady the labels as said above; otherwise the search is for these images alone.

    Returns:
        float32 [budgets, T].

    Raises:
        BudgetError: there are no images, costs do not ascend, or a budget is below the first step's cost.
    """
    if not confidence.shape[1]:
        raise BudgetError("no images to find thresholds on; give a split that holds some")
    if not all(a < b for a, b in itertools.pairwise((0.0, *cost))):
        raise BudgetError(f"costs of the steps {list(cost)} do not ascend; give cumulative costs")
    if min(budgets, default=cost[0]) < cost[0] * (1 - _ROUNDING):
        raise BudgetError(f"budget {min(budgets):.6g} is below the cost of the first step, {cost[0]:.6g}")
    search = _Search(confidence, correct, cost, candidates, smooth)
    given = [search.measure(row) for row in np.asarray(starts, np.float32)]
    for row in np.asarray(starts, np.float32):
        search.remember(search.indices(row))
    for indices in search.lattice():
        search.remember(indices)
    for budget in sorted(budgets):
        search.explore(budget)
    return np.array([search.best(budget, given) for budget in budgets], np.float32).reshape(-1, len(cost))


@dataclass(frozen=True)
class _Point:
    """What one set of thresholds gives: images answered rightly, and their total cost in full sequences."""

    right: int
    cost: float
    thresholds: tuple[float, ...]


class _Search:
    """Thresholds as indices into each step's candidates: step t stops the images whose code is at least its index."""

    def __init__(
        self,
        confidence: np.ndarray,
        correct: np.ndarray,
        cost: Sequence[float],
        candidates: int | None,
        smooth: bool,
    ) -> None:
        self.confidence = np.ascontiguousarray(confidence, np.float32)
        self.correct = correct
        self.right = correct.astype(np.float64)  # [T,n], what an answer counts
        if smooth:
            likely = [isotonic_accuracy(*row) for row in zip(self.confidence, correct, strict=True)]
            self.right = (self.right + np.stack(likely)) / 2
        self.unit = float(cost[-1])
        self.cost = np.asarray(cost, np.float64) / self.unit
        self.steps, self.images = self.confidence.shape
        self.edges = [_edges(row, candidates) for row in self.confidence[:-1]]
        self.codes = [
            np.searchsorted(edges, row, side="right") - 1
            for edges, row in zip(self.edges, self.confidence[:-1], strict=True)
        ]
        self.found: dict[tuple[int, ...], tuple[float, float]] = {}  # right answers, total cost

    def lattice(self) -> Iterator[tuple[int, ...]]:
        """Sets spread evenly over all there are, the ends included, so that no valley hides the best."""
        each = max(2, int(_LATTICE ** (1 / max(1, self.steps - 1)) + 1e-9))
        axes = [np.unique(np.linspace(0, len(edges), each).astype(int)).tolist() for edges in self.edges]
        return itertools.product(*axes)

    def indices(self, thresholds: np.ndarray) -> tuple[int, ...]:
        """The candidates nearest to some thresholds from below, or the one that stops no image."""
        return tuple(
            len(edges) if value > 1 else max(0, int(np.searchsorted(edges, value, side="right")) - 1)
            for edges, value in zip(self.edges, thresholds, strict=False)
        )

    def thresholds(self, indices: tuple[int, ...]) -> tuple[float, ...]:
        """The inverse of :meth:`indices`."""
        return (
            *(
                NEVER if index == len(edges) else float(edges[index])
                for edges, index in zip(self.edges, indices, strict=True)
            ),
            ALWAYS,
        )

    def measure(self, thresholds: np.ndarray) -> _Point:
        """What thresholds that need be no candidates give."""
        exits = exit_steps(self.confidence, thresholds)
        right = int(np.take_along_axis(self.correct, exits[None], axis=0).sum())
        cost = float(np.bincount(exits, minlength=self.steps) @ self.cost)
        return _Point(right, cost, tuple(float(v) for v in thresholds))

    def remember(self, indices: tuple[int, ...]) -> tuple[float, float]:
        """What candidates give; every set that was ever measured may serve every budget."""
        if indices not in self.found:
            stops = np.full(self.images, self.steps - 1)
            for step in range(self.steps - 2, -1, -1):
                stops[self.codes[step] >= indices[step]] = step
            counts = np.bincount(stops, minlength=self.steps)
            right = float(np.take_along_axis(self.right, stops[None], axis=0).sum())
            self.found[indices] = (right, float(counts @ self.cost))
        return self.found[indices]

    def explore(self, budget: float) -> None:
        """Find sets of thresholds that cost about ``budget``: the hull around it, then what lies in its gap."""
        total = self._total(budget)
        for _ in range(_MOST_CHORDS):
            below = max((item for item in self.found.items() if item[1][1] <= total), key=lambda x: (x[1][0], -x[1][1]))
            above = self._hull_above(below, total)
            if above is None:
                break
            price = (above[1][0] - below[1][0]) / (above[1][1] - below[1][1])
            level = below[1][0] - price * below[1][1]
            if not self._ascend(price, level):
                break
        # Best within the budget, and the cheapest beyond it: both have a neighbour that spends all of it.
        within = sorted((-right, cost, key) for key, (right, cost) in self.found.items() if cost <= total)
        beyond = sorted((cost, -right, key) for key, (right, cost) in self.found.items() if cost > total)
        for *_, start in (*within[:_STARTS], *beyond[:_STARTS]):
            self._keep_to(start, total)
        # Along the budget's edge one step's saving pays for another's: hold one, let the others spend what is left.
        best = self._best_within(total)
        for step, edges in enumerate(self.edges if self.steps > 2 else []):
            for index in np.unique(np.linspace(0, len(edges), _HELD).astype(int)).tolist():
                self._sweep((*best[:step], index, *best[step + 1 :]), 0.0, total, held=step)
        self._keep_to(self._best_within(total), total)

    def _best_within(self, total: float) -> tuple[int, ...]:
        """Of the sets that cost at most ``total``, the one that counts most."""
        return min((-right, cost, key) for key, (right, cost) in self.found.items() if cost <= total)[2]

    def _hull_above(
        self, below: tuple[tuple[int, ...], tuple[float, float]], total: float
    ) -> tuple[tuple[int, ...], tuple[float, float]] | None:
        """Of the sets that cost more than ``total`` and answer more rightly, the one of the steepest chord."""
        right, cost = below[1]
        dearer = [item for item in self.found.items() if item[1][1] > total and item[1][0] > right]
        return max(dearer, key=lambda item: (item[1][0] - right) / (item[1][1] - cost), default=None)

    def _ascend(self, price: float, level: float) -> bool:
        """Search with a price per cost from the best sets so far; whether one beats ``level``."""
        ranked = sorted(self.found, key=lambda key: self.found[key][0] - price * self.found[key][1], reverse=True)
        best = -np.inf
        for start in ranked[:_STARTS]:
            indices = start
            while True:
                improved = self._sweep(indices, price, None)
                if improved == indices:
                    break
                indices = improved
            right, cost = self.remember(indices)
            best = max(best, right - price * cost)
        return best > level + 1e-6

    def _keep_to(self, indices: tuple[int, ...], total: float) -> None:
        """Search among the sets that cost at most ``total``."""
        while True:
            improved = self._sweep(indices, 0.0, total)
            if improved == indices:
                return
            indices = improved

    def _sweep(
        self, indices: tuple[int, ...], price: float, total: float | None, held: int | None = None
    ) -> tuple[int, ...]:
        """Set every step's index but a held one to its best, from the last step to the first; ties change nothing."""
        chosen = list(indices)
        arrives = [np.ones(self.images, bool)]
        for step in range(self.steps - 2):
            arrives.append(arrives[-1] & (self.codes[step] < indices[step]))
        counts = np.array([arrived.sum() for arrived in arrives])
        settled = np.append(0.0, np.cumsum((counts[:-1] - counts[1:]) * self.cost[: len(counts) - 1]))
        right, cost = self.right[-1], np.full(self.images, self.cost[-1])  # of going on
        for step in range(self.steps - 2, -1, -1):
            reached = np.flatnonzero(arrives[step])
            codes, bins = self.codes[step][reached], len(self.edges[step])
            gain = self.right[step][reached] - right[reached]
            saving = cost[reached] - self.cost[step]
            # [bins+1], for every index: what stopping the images of at least that code adds; the last is nobody.
            gains = _suffix_sums(np.bincount(codes, gain, bins))
            savings = _suffix_sums(np.bincount(codes, saving, bins))
            values = gains + price * savings
            if total is not None:
                spent = settled[step] + cost[reached].sum() - savings
                values = np.where(spent <= total, gains + 1e-3 * savings / self.images, -np.inf)  # ties: the cheapest
            best, now = values.max(), values[chosen[step]]
            if best > now + 1e-9 and step != held:
                chosen[step] = _middle_of_best(values)
            stops = self.codes[step] >= chosen[step]
            right = np.where(stops, self.right[step], right)
            cost = np.where(stops, self.cost[step], cost)
        result = tuple(chosen)
        self.remember(result)
        return result

    def _total(self, budget: float) -> float:
        return budget / self.unit * float(self.images) * (1 + _ROUNDING)

    def best(self, budget: float, given: Sequence[_Point]) -> tuple[float, ...]:
        """The most accurate thresholds within ``budget``, the cheapest of those that tie."""
        total = self._total(budget)
        indices = self._best_within(total)
        points = [self.measure(np.array(self.thresholds(indices), np.float32)), *given]
        affordable = [point for point in points if point.cost <= total]
        return max(affordable, key=lambda point: (point.right, -point.cost)).thresholds


def _edges(confidence: np.ndarray, candidates: int | None) -> np.ndarray:
    """Ascending candidates float32: 0, at which all stop, and midpoints between neighbouring confidences."""
    distinct, counts = np.unique(confidence, return_counts=True)
    middles = distinct[:-1] + (distinct[1:] - distinct[:-1]) / 2
    # Between neighbouring floats there is no middle: their own upper one tells them apart.
    middles = np.where(middles > distinct[:-1], middles, distinct[1:])
    if candidates is not None and len(middles) > candidates:
        shares = np.cumsum(counts)[:-1] / confidence.size
        nearest = np.searchsorted(shares, np.arange(1, candidates + 1) / (candidates + 1))
        middles = middles[np.unique(np.minimum(nearest, len(middles) - 1))]
    return np.concatenate([np.zeros(1), middles]).astype(np.float32)


def _suffix_sums(values: np.ndarray) -> np.ndarray:
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)


def _middle_of_best(values: np.ndarray) -> int:
    """The middle of the first run of largest values; an end where the run reaches one."""
    best = values.max() - 1e-9
    first = int(np.argmax(values >= best))
    after = np.flatnonzero(values[first:] < best)
    last = first + int(after[0]) - 1 if len(after) else len(values) - 1
    if last == len(values) - 1:
        return last
    return 0 if first == 0 else (first + last) // 2
