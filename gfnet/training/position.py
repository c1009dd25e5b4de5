"""Where a run stands and what it has summed up on the way, as a value that goes to disk and back without loss."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gfnet.checkpoint import TrainingState, load_training_state
from gfnet.errors import CheckpointError
from gfnet.escaping import one_line
from gfnet.files.fields import Amount, Record
from gfnet.files.versioned import validate
from gfnet.training.learner import IterationResult, Learner, added
from gfnet.training.recipe import STAGES


@dataclass
class Totals:
    """Sums over some iterations, weighted by their images; all of them survive a round through JSON exactly."""

    images: int = 0
    loss: float = 0.0
    correct: list[float] = field(default_factory=list)
    classifier_losses: list[float] = field(default_factory=list)
    encoder_losses: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, result: IterationResult) -> None:
        """Count one iteration."""
        self.images += result.images
        self.loss += result.loss * result.images
        self.correct = added(self.correct, result.correct)
        self.classifier_losses = added(self.classifier_losses, _times(result.classifier_losses, result.images))
        self.encoder_losses = added(self.encoder_losses, _times(result.encoder_losses, result.images))
        self.rewards = added(self.rewards, _times(result.rewards, result.images))

    def means(self) -> dict[str, Any]:
        """Mean loss, accuracy in percent, and whatever else the stage has; nothing without images."""
        if not self.images:
            return {}
        means: dict[str, Any] = {
            "images": self.images,
            "loss": self.loss / self.images,
            "top1": _times(self.correct, 100 / self.images),
        }
        for name in ("classifier_losses", "encoder_losses", "rewards"):
            if getattr(self, name):
                means[name] = _times(getattr(self, name), 1 / self.images)
        return means

    def describe(self) -> str:
        """Loss and accuracies for a progress line."""
        means = self.means()
        if not means:
            return ""
        return f"loss {means['loss']:.3f}, training top-1 {' '.join(f'{value:.1f}' for value in means['top1'])} %"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Totals:
        """The inverse of :meth:`to_dict`."""
        return cls(**values)


def _times(values: Sequence[float], factor: float) -> list[float]:
    return [value * factor for value in values]


@dataclass
class Position:
    """How far a run has come, and what it has to remember of the way.

    Attributes:
        stage: the stage under way.
        epoch: epochs of it that are done, validation included.
        batch: batches of the epoch under way that are done.
        iteration: iterations of the whole run, skipped ones included.
        skipped: batches of the whole run whose loss was NaN or infinite.
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


class _StoredPosition(Record):
    """A :class:`Position` in a file, its totals apart."""

    stage: Annotated[int, Field(ge=0, le=len(STAGES))]
    epoch: Amount
    batch: Amount
    iteration: Amount
    skipped: Amount
    epoch_skipped: Amount = 0
    best: float | None
    epoch_totals: Totals
    line_totals: Totals


class _StoredState(BaseModel):
    """The values of a :class:`gfnet.checkpoint.TrainingState`, as the trainer writes them."""

    model_config = ConfigDict(extra="forbid")

    position: _StoredPosition
    metrics_bytes: Amount
    images: Amount
    labels_sha256: str
    finished: bool
    optimizer: dict[str, Any] | None = None
    scaler: dict[str, Any] | None = None


def load_state(path: Path) -> TrainingState:
    """The state of the run that wrote this file, fit to be gone on from.

    Raises:
        CheckpointError: it is damaged, none of this project's, or holds no such state.
    """
    state = load_training_state(path)
    validate(
        _StoredState,
        json.dumps(state.values),
        lambda what: CheckpointError(f"{path}: the state of its training is damaged ({what}); copy it again"),
    )
    return state


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
    """Give a new learner of the same stage what :func:`pack_learner` took from an old one.

    Raises:
        CheckpointError: it is of another network or stage.
    """
    try:
        _unpack(learner, state)
    # Optimisers raise nearly anything for the state of another one.
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the state of the training does not fit its network ({one_line(error)}); begin again with --overwrite"
        ) from error


def _unpack(learner: Learner, state: TrainingState) -> None:
    groups = learner.optimizer.param_groups
    parameters = [p for group in groups for p in group["params"]]
    stored = state.values["optimizer"]
    for group, old in zip(groups, stored["param_groups"], strict=True):
        for name in (group.keys() | old.keys()) - {"params"}:
            if _kind(group[name]) != _kind(old[name]):
                raise ValueError(f"{name} is {old[name]!r}")
    entries: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in stored["state"].items()}
    for key, value in state.tensors.items():
        _, index, name = key.split(".", 2)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:  # files are contiguous; fused optimisers need the weights' own layout
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        elif value.ndim:
            raise ValueError(f"{key} is {tuple(value.shape)}, not {tuple(parameter.shape)}")
        entries.setdefault(int(index), {})[name] = value
    learner.optimizer.load_state_dict({"state": entries, "param_groups": stored["param_groups"]})
    if state.values["scaler"] and learner.precision.scaler.is_enabled():
        learner.precision.scaler.load_state_dict(state.values["scaler"])


def _kind(value: Any) -> Any:
    """What JSON keeps of an option's type."""
    if isinstance(value, list | tuple):
        return [_kind(item) for item in value]
    return float if type(value) is int else type(value)
