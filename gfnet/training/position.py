"""Where a run stands, as a value that goes to disk and back without loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gfnet.checkpoint import TrainingState
from gfnet.training.learner import Learner
from gfnet.training.totals import Totals


@dataclass
class Position:
    """How far a run has come, and what it has to remember of the way.

    Attributes:
        stage: the stage under way.
        epoch: epochs of it that are done, validation included.
        batch: batches of the epoch under way that are done.
        iteration: iterations of the whole run, skipped ones included.
        skipped: batches of the whole run whose loss was no number.
        epoch_skipped: those of the epoch under way.
        best: the stage's best mean accuracy on the validation split so far, percent.
        epoch_totals: of the epoch under way.
        line_totals: since the last line in ``metrics.jsonl``.
    """

    stage: int
    epoch: int = 0
    batch: int = 0
    iteration: int = 0
    skipped: int = 0
    epoch_skipped: int = 0
    best: float | None = None
    epoch_totals: Totals = field(default_factory=Totals)
    line_totals: Totals = field(default_factory=Totals)

    def end_epoch(self) -> None:
        """Go on to the beginning of the stage's next epoch."""
        self.epoch, self.batch, self.epoch_skipped, self.epoch_totals = self.epoch + 1, 0, 0, Totals()

    def next_stage(self, stage: int) -> Position:
        """The beginning of ``stage`` in the same run."""
        return Position(stage, iteration=self.iteration, skipped=self.skipped)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            **vars(self),
            "epoch_totals": self.epoch_totals.to_dict(),
            "line_totals": self.line_totals.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Position:
        """The inverse of :meth:`to_dict`."""
        totals = {name: Totals.from_dict(values[name]) for name in ("epoch_totals", "line_totals")}
        return cls(**{**values, **totals})


def pack_learner(learner: Learner) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Optimiser and scaler as tensors and JSON-ready values."""
    state = learner.optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                plain.setdefault(str(index), {})[name] = value
    values = {
        "optimizer": {"state": plain, "param_groups": state["param_groups"]},
        "scaler": learner.precision.scaler.state_dict(),
    }
    return tensors, values


def unpack_learner(learner: Learner, state: TrainingState) -> None:
    """Give a new learner of the same stage what :func:`pack_learner` took from an old one."""
    parameters = [p for group in learner.optimizer.param_groups for p in group["params"]]
    stored = state.values["optimizer"]
    entries: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in stored["state"].items()}
    for key, value in state.tensors.items():
        _, index, name = key.split(".", 2)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:  # files are contiguous; fused optimisers need the weights' own layout
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        entries.setdefault(int(index), {})[name] = value
    learner.optimizer.load_state_dict({"state": entries, "param_groups": stored["param_groups"]})
    if state.values["scaler"] and learner.precision.scaler.is_enabled():
        learner.precision.scaler.load_state_dict(state.values["scaler"])
