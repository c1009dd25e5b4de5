"""One stage's learning: batches in, optimiser steps out.

It knows ranks, mixed precision and gradient accumulation; nothing of epochs, files or schedules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from gfnet.choices import Amp
from gfnet.data.batches import Batch
from gfnet.distributed import current_ranks, sum_over_ranks
from gfnet.network.backbones.folding import folded_copy
from gfnet.network.backbones.stochastic import at_places
from gfnet.network.model import GFNet
from gfnet.training.objectives import Outputs, make_objective, prepare_model, roll_out
from gfnet.training.optimizers import leave_fused_where_layouts_differ, make_optimizer
from gfnet.training.ppo import discounted_returns, normalise_returns
from gfnet.training.precision import Precision
from gfnet.training.recipe import Recipe

# What an iteration draws besides patches and noise, which take its seed itself: with one seed for all, a normal and a
# uniform draw would be functions of each other.
_OTHERS, _MASKS = 1, 2


@dataclass(frozen=True)
class IterationResult:
    """What one iteration gave, over all ranks.

    Attributes:
        images: number of them.
        loss: the scalar that was minimised.
        correct: number of right answers at each step (stage 0: of each encoder).
        classifier_losses: mean cross-entropy of the answer at each step.
        encoder_losses: mean cross-entropy of the encoder's own head at each step.
        rewards: mean reward of each focus step; stage 2 only.
        grad_norm: norm of all gradients together, before clipping.
        finite: whether loss and gradients were numbers; if not, no optimiser step was made (in stage 2, none after the
            update that failed).
    """

    images: int
    loss: float
    correct: tuple[int, ...]
    classifier_losses: tuple[float, ...]
    encoder_losses: tuple[float, ...]
    rewards: tuple[float, ...]
    grad_norm: float
    finite: bool


class Learner:
    """Learns one stage.

    Args:
        model: trained in place, on its own device.
        stage: 0 to 3.
        recipe: how.
        amp: precision of encoders and classifier.
        keep_statistics: restore BatchNorm's statistics after an iteration whose loss was NaN or infinite.

    Attributes:
        optimizer: of this stage; its groups' learning rates are the caller's to set.
        precision: holds fp16's scaler.
        acting: the network that stage 2's rollouts run, with frozen, faster encoders.
    """

    def __init__(
        self, model: GFNet, stage: int, recipe: Recipe, *, amp: Amp = "off", keep_statistics: bool = False
    ) -> None:
        self.model, self.stage, self.recipe = model, stage, recipe
        prepare_model(model, stage, recipe)
        self.acting = _with_folded_encoders(model) if stage == 2 else model
        self.optimizer = make_optimizer(model, stage, recipe)
        # Stage 2 differentiates nothing but the policy, which runs in float32: nothing to scale.
        self.precision = Precision(amp, model.device, scale=stage != 2)
        self.ranks = current_ranks()
        objective = make_objective(model, stage, recipe)
        self.objective = DistributedDataParallel(objective) if self.ranks.size > 1 else objective
        self.keep_statistics = keep_statistics
        self._layouts_checked = False
        self._parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]

    def step(self, parts: Sequence[Batch], seed: int) -> IterationResult:
        """One iteration.

        Args:
            parts: this rank's share of the batch, in one piece or in several whose gradients are accumulated.
            seed: of this iteration, the same on all ranks.
        """
        saved = {name: buffer.clone() for name, buffer in self.model.named_buffers()} if self.keep_statistics else {}
        result = (self._learn_policy if self.stage == 2 else self._learn_encoders)(parts, seed)
        if not result.finite:
            for name, value in saved.items():
                self.model.get_buffer(name).copy_(value)
        return result

    def _learn_encoders(self, parts: Sequence[Batch], seed: int) -> IterationResult:
        draw = torch.randn if self.stage == 3 else torch.rand
        sums = _Sums()
        self.optimizer.zero_grad()
        for part in parts:
            inputs = [*self._inputs(part)]
            if self.stage != 0:
                inputs.append(self._draw(draw, part, seed))
            torch.manual_seed(
                derive_seed(seed, _MASKS)
            )  # dropout: the same masks for the whole batch in every part and on every rank
            with self._synchronised(part is parts[-1]), at_places(part.places, part.total):
                with self.precision.autocast():
                    outputs: Outputs = self.objective(*inputs)
                loss = self.precision.scaler.scale(outputs.loss * self._weight(part))
                loss.backward()  # type: ignore[no-untyped-call]
            sums.add(outputs, part.share)
        # Before the step, since a loss may be infinite where its gradients are not.
        totals = sums.over_ranks()
        grad_norm, finite = self._update(totals.loss)
        return totals.result(parts[0].total, totals.loss, grad_norm, finite)

    def _learn_policy(self, parts: Sequence[Batch], seed: int) -> IterationResult:
        rollouts, sums = [], _Sums()
        for part in parts:
            images, targets = self._inputs(part)
            noise = self._draw(torch.randn, part, seed)
            contrastive = self.recipe.ppo.reward == "contrastive"
            with self.precision.autocast():
                others = self._draw(torch.rand, part, derive_seed(seed, _OTHERS)) if contrastive else None
                rollout, outputs = roll_out(self.acting, images, targets, noise, others)
            sums.add(outputs, part.share, rollout.rewards)
            rollouts.append(rollout)
        discount = self.recipe.ppo.discount
        returns = normalise_returns([discounted_returns(rollout.rewards, discount) for rollout in rollouts])
        mean_loss = 0.0
        for _ in range(self.recipe.ppo.updates):
            self.optimizer.zero_grad()
            loss = 0.0
            for part, rollout, part_returns in zip(parts, rollouts, returns, strict=True):
                with self._synchronised(part is parts[-1]):
                    part_loss = self.objective(rollout, part_returns)
                    (part_loss * self._weight(part)).backward()
                loss += part_loss.item() * part.share
            (loss,) = sum_over_ranks([loss])
            grad_norm, finite = self._update(loss)
            mean_loss += loss / self.recipe.ppo.updates
            if not finite:
                break
        return sums.over_ranks().result(parts[0].total, mean_loss, grad_norm, finite)

    def _update(self, loss: float) -> tuple[float, bool]:
        """Make the optimiser step if all is finite: the gradients' norm, and whether all was finite."""
        scaler = self.precision.scaler
        scaler.unscale_(self.optimizer)
        norm = get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        # Under fp16 gradients overflow now and then: the scaler skips that step and lowers its scale.  Where the scale
        # is not to blame any more, they are NaN for another reason.
        overflows = scaler.is_enabled() and scaler.get_scale() > 1
        finite = math.isfinite(loss) and (overflows or bool(norm.isfinite()))
        if finite:
            if not self._layouts_checked:
                leave_fused_where_layouts_differ(self.optimizer)
                self._layouts_checked = True
            if self.recipe.clip_grad_norm is not None:
                clip_grads_with_norm_(self._parameters, self.recipe.clip_grad_norm, norm)
            scaler.step(self.optimizer)
            scaler.update()
        elif scaler.is_enabled():
            scaler.update(scaler.get_scale())  # forget that the gradients were unscaled
        return norm.item(), finite

    def _weight(self, part: Batch) -> float:
        """What a part's mean loss counts; DistributedDataParallel divides by the number of ranks."""
        return self.ranks.size * part.share

    def _inputs(self, part: Batch) -> tuple[Tensor, Tensor]:
        device = self.model.device
        return self.model.normalise(part.pixels.to(device, non_blocking=True)), part.labels.to(device)

    def _draw(self, draw: Any, part: Batch, seed: int) -> Tensor:
        """Noise [T-1,b,2] of the part's places in a batch that all ranks draw whole."""
        shape = (self.model.config.steps - 1, part.total, 2)
        noise = draw(shape, generator=torch.Generator().manual_seed(seed))[:, part.places]
        moved: Tensor = noise.to(self.model.device, next(self.model.parameters()).dtype)
        return moved

    def _synchronised(self, last: bool) -> AbstractContextManager[Any]:
        if isinstance(self.objective, DistributedDataParallel) and not last:
            return self.objective.no_sync()
        return nullcontext()


def _with_folded_encoders(model: GFNet) -> GFNet:
    size = model.config.patch_size
    return model.with_encoders(folded_copy(model.global_encoder, size), folded_copy(model.local_encoder, size))


@dataclass
class _Sums:
    """Weighted sums over the parts of one rank's batch, then over the ranks."""

    loss: float = 0.0
    correct: list[float] = field(default_factory=list)
    classifier_losses: list[float] = field(default_factory=list)
    encoder_losses: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, outputs: Outputs, share: float, rewards: Tensor | None = None) -> None:
        self.loss += outputs.loss.item() * share
        self.correct = added(self.correct, outputs.correct.sum(1).tolist())
        self.classifier_losses = added(self.classifier_losses, [v.item() * share for v in outputs.classifier_losses])
        self.encoder_losses = added(self.encoder_losses, [v.item() * share for v in outputs.encoder_losses])
        if rewards is not None:
            self.rewards = added(self.rewards, [v * share for v in rewards.mean(1).tolist()])

    def over_ranks(self) -> _Sums:
        groups = (self.correct, self.classifier_losses, self.encoder_losses, self.rewards)
        totals = iter(sum_over_ranks([self.loss, *(value for group in groups for value in group)]))
        return _Sums(next(totals), *([next(totals) for _ in group] for group in groups))

    def result(self, images: int, loss: float, grad_norm: float, finite: bool) -> IterationResult:
        return IterationResult(
            images=images,
            loss=loss,
            correct=tuple(int(value) for value in self.correct),
            classifier_losses=tuple(self.classifier_losses),
            encoder_losses=tuple(self.encoder_losses),
            rewards=tuple(self.rewards),
            grad_norm=grad_norm,
            finite=finite,
        )


def added(totals: Sequence[float], values: Sequence[float]) -> list[float]:
    """Element-wise sums; an empty ``totals`` counts as zeros."""
    return [a + b for a, b in zip(totals, values, strict=True)] if totals else list(values)


def derive_seed(seed: int, *position: int) -> int:
    """A 63-bit seed that depends on all arguments and looks unrelated for neighbouring ones.

    Every epoch and every iteration seeds its own generators from the run's seed and its position.  So a run that is
    resumed, on however many ranks, draws what the uninterrupted one would have drawn, and no generator's state has to
    be stored.
    """
    words = np.random.SeedSequence([seed, *position]).generate_state(2, np.uint32)
    return int(words[0]) << 31 ^ int(words[1])
