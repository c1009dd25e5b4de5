"""Confidence that means what it says: temperatures, put into the weights.

Dividing logits by a temperature changes no answer, only how sure it is (Guo et al., ICML 2017, section 4.2).  A linear
layer divided by it gives the same, so a calibrated network is a network like any other, and nothing that exports or
runs it has to know.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gfnet.checkpoint import Checkpoint
from gfnet.choices import Solver
from gfnet.console.progress import Progress
from gfnet.data.batches import Batches, PixelDataset
from gfnet.data.classes import pair_split
from gfnet.errors import ConfigError, DataError
from gfnet.evaluation.datasets import DatasetEvaluation, evaluate_dataset, open_parts
from gfnet.evaluation.predictions import run_all_steps
from gfnet.inference.images import every_nth
from gfnet.network.classifier import CascadeClassifier
from gfnet.network.model import GFNet

_BOUNDS = (1e-2, 1e2)  # of 1 / temperature, for answers that are all right or no better than chance
_HALVINGS = 50


@dataclass(frozen=True)
class Calibration:
    """A network before and after.

    Attributes:
        temperatures: one a step.
        images: how many they were fitted on.
        before: on the validation split, with thresholds from the split that was calibrated on.
        after: the same of the calibrated network.
    """

    temperatures: tuple[float, ...]
    images: int
    before: DatasetEvaluation
    after: DatasetEvaluation

    @property
    def unreadable(self) -> list[str]:
        """One message for each image that could not be read."""
        return list(dict.fromkeys([*self.before.unreadable, *self.after.unreadable]))


def calibrate_checkpoint(
    checkpoint: Checkpoint,
    data: str | Path,
    *,
    split: str,
    images: int = 10_000,
    solver: Solver = "geometric",
    batch_size: int = 64,
    class_map: str | None = None,
) -> tuple[Checkpoint, Calibration]:
    """A network with a temperature for each step in its weights, and new thresholds; and what that changes.

    Args:
        data: what :func:`gfnet.data.open_dataset` takes.
        split: where temperatures and thresholds are found: a folder beside ``val``, or ``val`` for one half of it.
        images: fit temperatures on this many images at most, drawn evenly.
        solver: of the thresholds.
        class_map: how classes of the data map to the network's, see :func:`gfnet.data.classes.pair_split`.

    Raises:
        DataError: a split is missing, does not fit the network's classes, or holds no readable image.
        ConfigError: a step's answer does not come from a linear layer.
    """
    model = checkpoint.model
    step_heads(model)  # refused before anything is read
    fit = partial(pair_split, names=checkpoint.labels, count=model.config.num_classes, class_map=class_map)
    part, _ = open_parts(data, None, split, fit)
    assert part is not None
    chosen = every_nth(part.indices, images)
    batches = Batches(PixelDataset(part.split, model.config), batch_size, indices=chosen)
    judge = partial(
        evaluate_dataset,
        data=data,
        stored=None,
        labels=checkpoint.labels,
        class_map=class_map,
        search_split=split,
        solver=solver,
        batch_size=batch_size,
    )
    before = judge(model)
    logits, labels = collect_logits(model, batches, len(chosen))
    temperatures = find_temperatures(model, logits, labels)
    scaled = with_temperatures(model, temperatures)
    after = judge(scaled)
    calibrated = dataclasses.replace(checkpoint, model=scaled, evaluation=after.evaluation)
    return calibrated, Calibration(temperatures, len(labels), before, after)


def step_heads(model: GFNet) -> tuple[nn.Linear, ...]:
    """The layer that gives each step's answer; a recurrent classifier has one for several steps.

    Raises:
        ConfigError: the backbone's own head classifies the glance, and is not a linear layer.
    """
    config, classifier = model.config, model.classifier
    heads = [
        classifier.get_submodule(f"fc_{step}" if isinstance(classifier, CascadeClassifier) else "fc")
        for step in range(2, config.steps + 1)
    ]
    if config.glance_head == "encoder":
        heads.insert(0, model.global_encoder.head)
    else:
        heads.insert(0, classifier.get_submodule("fc"))
    for head in heads:
        if not isinstance(head, nn.Linear):
            raise ConfigError(f"arch {config.arch!r} ends in {type(head).__name__}, not in a linear layer to calibrate")
    return tuple(head for head in heads if isinstance(head, nn.Linear))


@torch.no_grad()
def collect_logits(model: GFNet, batches: Iterable[tuple[Tensor, Tensor]], total: int) -> tuple[Tensor, Tensor]:
    """Every step's logits float32 [T,n,num_classes] on the policy's patches, and labels int64 [n].

    Args:
        batches: pairs of pixels uint8 [B,3,S,S] and labels int64 [B].
        total: number of images, for the progress line.

    Raises:
        DataError: there is no image.
    """
    model.eval()
    logits, labels = [], []
    with Progress("calibrate", total, "images") as progress:
        for pixels, targets in batches:
            steps, _ = run_all_steps(model, model.normalise(pixels.to(model.device)))
            logits.append(torch.stack(steps).float().cpu())
            labels.append(targets)
            progress.advance(len(targets))
    if not labels:
        raise DataError("no image to calibrate on could be read")
    return torch.cat(logits, dim=1), torch.cat(labels)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature whose confidences are the likeliest.

    The likelihood is concave in 1 / temperature, so its slope is bisected; between 0.01 and 100.

    Args:
        logits: float [n,num_classes].
        labels: int64 [n].
    """
    logits = logits.double()
    target = logits.gather(1, labels[:, None]).mean()
    low, high = _BOUNDS
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        expected = (F.softmax(logits * middle, dim=1) * logits).sum(1).mean()
        low, high = (middle, high) if target > expected else (low, middle)
    return float((low * high) ** -0.5)


def find_temperatures(model: GFNet, logits: Tensor, labels: Tensor) -> tuple[float, ...]:
    """One temperature a step; steps that one layer answers share theirs.

    Args:
        logits: [T,n,num_classes], as :func:`collect_logits` gives them.
        labels: int64 [n].
    """
    heads = step_heads(model)
    fitted = {}
    for head in heads:
        steps = [step for step, other in enumerate(heads) if other is head]
        fitted[id(head)] = fit_temperature(logits[steps].flatten(0, 1), labels.repeat(len(steps)))
    return tuple(fitted[id(head)] for head in heads)


def with_temperatures(model: GFNet, temperatures: Sequence[float]) -> GFNet:
    """A copy of ``model`` whose logits are divided by one temperature a step.

    Raises:
        ConfigError: steps that one layer answers were given different ones.
    """
    scaled = copy.deepcopy(model)
    by_head: dict[nn.Linear, float] = {}
    for head, temperature in zip(step_heads(scaled), temperatures, strict=True):
        if by_head.setdefault(head, temperature) != temperature:
            raise ConfigError("steps answered by one layer have one temperature; give them the same")
    with torch.no_grad():
        for head, temperature in by_head.items():
            for parameter in head.parameters():
                parameter.div_(temperature)
    return scaled
