"""A run's measurements on their way to ``metrics.jsonl`` and TensorBoard."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import torch

from gfnet.console.output import say
from gfnet.training.learner import IterationResult, Learner
from gfnet.training.position import Position, Totals
from gfnet.training.run_folder import RunFolder

_CURVES_INTERVAL_S = 60.0


class RunLog:
    """Writes one line for some iterations, one for each validation, and draws the curves now and then.

    Args:
        folder: the run's; only the process that writes it writes anything.
        iteration: where the run goes on; TensorBoard forgets later events of an earlier attempt.
    """

    def __init__(self, folder: RunFolder, iteration: int) -> None:
        self.folder = folder
        self._line_at = self._drawn_at = time.monotonic()
        self._board: Any = None
        self._complained: set[str] = set()
        if folder.writes and find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder.path / "tensorboard"), purge_step=iteration)

    def restart_clock(self) -> None:
        """Leave out what has passed since the last line (validation, a save) from the next one's images a second."""
        self._line_at = time.monotonic()

    def training(self, position: Position, learner: Learner, result: IterationResult) -> None:
        """One line for the iterations since the last one; ``result`` is the newest."""
        now = time.monotonic()
        means = position.line_totals.means()
        self._write(
            position,
            {
                "event": "training",
                **means,
                "learning_rates": [group["lr"] for group in learner.optimizer.param_groups],
                "grad_norm": result.grad_norm,
                "skipped": position.skipped,
                "epoch_skipped": position.epoch_skipped,
                "images_per_second": means.get("images", 0) / max(now - self._line_at, 1e-9),
                "memory_mb": _peak_memory_mb(),
            },
        )
        position.line_totals, self._line_at = Totals(), now

    def validation(self, position: Position, top1: Sequence[float]) -> None:
        """One line for a look at the validation split."""
        self._write(position, {"event": "validation", "top1": list(top1)})

    def draw_curves(self, *, now: bool = True) -> None:
        """Draw ``curves.png`` anew; unless ``now``, only if it is a minute old."""
        if now or time.monotonic() - self._drawn_at > _CURVES_INTERVAL_S:
            self._drawn_at = time.monotonic()
            with self._unessential("the curves"):
                self.folder.draw_curves()

    def _write(self, position: Position, values: Mapping[str, Any]) -> None:
        place = {"stage": position.stage, "epoch": position.epoch + 1, "iteration": position.iteration}
        self.folder.log({**place, **values})
        if self._board is None:
            return
        with self._unessential("TensorBoard's events"):
            for name, value in values.items():
                tag = f"{values['event']}/{name}"
                if isinstance(value, list):
                    for index, item in enumerate(value, start=1):
                        self._board.add_scalar(f"{tag}/{index}", item, position.iteration)
                elif name != "event":
                    self._board.add_scalar(tag, value, position.iteration)

    @contextmanager
    def _unessential(self, what: str) -> Iterator[None]:
        """Say once that ``what`` could not be written, and train on."""
        try:
            yield
        except Exception as error:
            if what not in self._complained:
                self._complained.add(what)
                say(f"gfnet: {what} could not be written ({error}); training goes on", err=True)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()


def _peak_memory_mb() -> float:
    """Most memory that this process has used so far, MB: the GPU's if there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
