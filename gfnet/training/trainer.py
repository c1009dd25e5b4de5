"""The four stages over whole datasets.

0: the encoders themselves, on full and on shrunk images.  1: encoders and classifier on random patches.
2: the policy, by PPO, on frozen encoders.  3: encoders and classifier again, on the policy's patches.
(NeurIPS 2020, section 3.4; stage 0 stands in for the papers' ImageNet weights.)
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from timm.layers import convert_sync_batchnorm

from gfnet.checkpoint import Checkpoint, TrainingState
from gfnet.console.output import say
from gfnet.console.progress import Progress
from gfnet.data import Split
from gfnet.data.batches import Batch, PixelDataset, TrainingBatches
from gfnet.distributed import current_ranks, synchronise_buffers
from gfnet.errors import ConfigError, DataError, GFNetError, TrainingError
from gfnet.evaluation import (
    Predictions,
    anytime_top1,
    evaluate,
    find_thresholds,
    patch_actions,
    predict_all_steps,
    predict_encoders,
    predict_split,
)
from gfnet.inference.budgets import Evaluation
from gfnet.network.cost import cumulative_macs, encoder_macs
from gfnet.network.model import GFNet
from gfnet.training.interruption import Interruption, Stopped
from gfnet.training.learner import IterationResult, Learner, derive_seed
from gfnet.training.objectives import cascade_and_heads, prepare_model
from gfnet.training.optimizers import rate_factor
from gfnet.training.position import Position, pack_learner, unpack_learner
from gfnet.training.recipe import STAGE_NAMES, Recipe
from gfnet.training.run_folder import RunFolder
from gfnet.training.run_log import RunLog
from gfnet.training.settings import Execution


class Trainer:
    """Trains one network on one dataset; under ``torchrun`` every rank has one.

    Args:
        model: trained in place, on its own device.
        recipe: what it learns.
        train: the training split.
        val: the validation split, looked at after each epoch.
        folder: where the run's files lie; nothing is written before :meth:`run`.
        stages: which of 0 to 3, in order.
        execution: how training runs here.
        config: the run's resolved configuration, which its checkpoints carry.

    Attributes:
        unreadable: messages that name the images that could not be read so far.

    Raises:
        TrainingError: data and network do not fit each other, or there is nothing for a policy to learn.
        ConfigError: what ``execution`` asks for is not possible here.
    """

    def __init__(
        self,
        model: GFNet,
        recipe: Recipe,
        train: Split,
        val: Split,
        folder: RunFolder,
        *,
        stages: tuple[int, ...],
        execution: Execution,
        config: Mapping[str, Any],
    ) -> None:
        self.model, self.recipe, self.train, self.val = model, recipe, train, val
        self.folder, self.stages, self.execution, self.config = folder, stages, execution, config
        self.ranks = current_ranks()
        self.interruption = Interruption()
        self.unreadable: dict[str, None] = {}
        self._check()
        if self.execution.channels_last:
            model.to(memory_format=torch.channels_last)
        if self.execution.sync_bn:
            self.model = convert_sync_batchnorm(model)
        if self.execution.compile:
            model.global_encoder.compile()
            model.local_encoder.compile()
        workers = self.execution.workers
        # Random crops differ each time, so there is nothing to keep.
        keep = workers == 0 and recipe.augmentation in ("flip", "none")
        self._train_pixels = PixelDataset(
            train, model.config, augmentation=recipe.augmentation, least_crop=recipe.least_crop, keep=keep
        )
        self._val_pixels = PixelDataset(val, model.config, keep=workers == 0)
        self._batches = TrainingBatches(self._train_pixels, recipe.batch_size, self.ranks, workers)
        self._saved_at = time.monotonic()

    def run(self, state: TrainingState | None = None) -> Checkpoint:
        """Train, evaluate, and save.

        Args:
            state: where an earlier run of these stages stopped; the model must be as it was then.

        Returns:
            The finished network, on the CPU, with its thresholds, found on the training split, and its results on
            the validation split.

        Raises:
            TrainingError: a loss is no longer a number, or the state belongs to other data.
            DataError: no image can be read.
            NetworkError: the network gives values that are NaN or infinite where it is validated.
            RankError: another rank ended.
            Stopped: a signal asked for it; the state is saved.
        """
        position = Position(self.stages[0])
        if state is not None:
            self._check_data(state)
            position = Position.from_dict(state.values["position"])
            if self.ranks.is_first:
                place = f"stage {position.stage}, epoch {position.epoch + 1}, after iteration {position.iteration}"
                done = position.stage > self.stages[-1]
                say(f"gfnet: goes on {'with the evaluation' if done else f'in {place}'}", err=True)
            self.folder.truncate_metrics(state.values["metrics_bytes"])
            self.folder.remove_leftovers()
        with self.interruption, RunLog(self.folder, position.iteration) as self._log:
            for stage in (stage for stage in self.stages if stage >= position.stage):
                if stage > position.stage:
                    position, state = position.next_stage(stage), None
                if state is None and stage == 1 and self.recipe.classifier_start == "heads":
                    cascade, *heads = cascade_and_heads(self.model)
                    cascade.start_as_mean(*heads)
                if state is None:  # before anything of the stage is written, so that no kill leaves results alone
                    self._save_state(position, None)
                self._run_stage(position, state)
                self.folder.save(self.folder.after_stage(stage), self._checkpoint())
                self._log.draw_curves()
            position = position.next_stage(self.stages[-1] + 1)
            self._save_state(position, None)
            evaluation = self._evaluate()
            checkpoint = self._checkpoint(evaluation)
            self.folder.save(self.folder.result, checkpoint)
            self._save_state(position, None, finished=True)
        self.model.eval().cpu()  # like a loaded checkpoint, whatever it was trained on
        return checkpoint

    def _run_stage(self, position: Position, state: TrainingState | None) -> None:
        stage, epochs = position.stage, self.recipe.epochs[position.stage]
        learner = self._make_learner(stage)
        rates = [group["lr"] for group in learner.optimizer.param_groups]
        if state is not None and "optimizer" in state.values:
            unpack_learner(learner, state)
        images = len(self.train)
        done = position.epoch * images + position.epoch_totals.images
        title = f"stage {stage} ({STAGE_NAMES[stage]})"
        with Progress(title, epochs * images, "images", done=done, quiet=not self.ranks.is_first) as progress:
            while position.epoch < epochs:
                self._run_epoch(position, learner, rates, progress)
                if self.execution.validate_every and (position.epoch + 1) % self.execution.validate_every == 0:
                    self._validate(position, learner)
                position.end_epoch()
                if position.epoch < epochs:
                    self._save_state(position, learner)
                self._log.draw_curves(now=False)

    def _make_learner(self, stage: int) -> Learner:
        keep_statistics = self.execution.on_nan == "skip"
        return Learner(self.model, stage, self.recipe, amp=self.execution.amp, keep_statistics=keep_statistics)

    def _run_epoch(self, position: Position, learner: Learner, rates: list[float], progress: Progress) -> None:
        stage, epoch, epochs = position.stage, position.epoch, self.recipe.epochs[position.stage]
        seed = derive_seed(self.recipe.seed, stage, epoch)
        self._log.restart_clock()
        for batch in self._agreed(self._batches.epoch(seed, start=position.batch), position, learner):
            factor = rate_factor(stage, epoch, position.batch / len(self._batches), epochs)
            for group, rate in zip(learner.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            iteration_seed = derive_seed(self.recipe.seed, stage, epoch, position.batch)
            result = learner.step(batch.divided(self.execution.accumulate), iteration_seed)
            position.batch += 1
            position.iteration += 1
            if result.finite:
                position.epoch_totals.add(result)
                position.line_totals.add(result)
            else:
                self._skip(position, learner, result)
            note = f"epoch {epoch + 1}/{epochs}, {position.epoch_totals.describe()}"
            progress.advance(result.images, note)
            if position.iteration % self.execution.log_every == 0 or position.batch == len(self._batches):
                self._log.training(position, learner, result)
            if position.batch < len(self._batches) and self._save_is_due(position):
                self._save_state(position, learner)
        self._note_unreadable(self._batches.unreadable)

    def _agreed(self, batches: Iterator[Batch], position: Position, learner: Learner) -> Iterator[Batch]:
        """``batches``, as long as all ranks have theirs and none is asked to stop; otherwise the state is saved."""
        failure: GFNetError | None = None
        while True:
            try:
                batch = next(batches, None)
            except DataError as error:
                batch, failure = None, error
            if batch is None and failure is None:
                return
            try:
                self.interruption.check_all_ranks(failure)
            except (Stopped, GFNetError):
                self._save_state(position, learner)
                raise
            assert batch is not None
            yield batch

    def _skip(self, position: Position, learner: Learner, result: IterationResult) -> None:
        """A loss that is NaN or infinite: stop, or drop the batch and count it.

        Raises:
            TrainingError: batches may not be skipped, or too many of the run or of the epoch were.
        """
        position.skipped += 1
        position.epoch_skipped += 1
        what = f"loss became {result.loss}"
        if math.isfinite(result.loss):
            what = f"gradient's norm became {result.grad_norm}"
        where = f"stage {position.stage}, epoch {position.epoch + 1}, iteration {position.iteration}"
        what = f"{where}: the {what} at learning rate {learner.optimizer.param_groups[0]['lr']:.3g}"
        good = f"the last good state is {self.folder.last}"
        if self.execution.on_nan == "stop":
            raise TrainingError(f"{what}; {good}; train with a lower rate, or pass --on-nan skip")
        if position.skipped > self.execution.most_skipped:
            raise TrainingError(f"{what}, and {self.execution.most_skipped} batches were skipped before; {good}")
        batches, share = len(self._batches), self.execution.most_skipped_share
        if position.epoch_skipped / batches > share:
            raise TrainingError(
                f"{what}; with it {position.epoch_skipped} of the epoch's {batches} batches are skipped, more than the "
                f"share of {share:g} that --most-skipped allows; {good}; start again with a lower rate, or go on with "
                "--resume and a larger share"
            )
        if self.ranks.is_first:
            told = f"number {position.skipped}, {position.epoch_skipped} of the epoch's {batches}"
            say(f"gfnet: {what}; batch skipped ({told})", err=True)

    def _validate(self, position: Position, learner: Learner) -> None:
        """Accuracy on the validation split, as far as this stage has trained the network."""
        predict: Any = predict_all_steps
        if position.stage == 0:
            predict = predict_encoders
        elif position.stage == 1:
            actions = patch_actions("random", self.model.config.steps, self.recipe.seed)
            predict = partial(predict_all_steps, actions=actions)
        try:
            synchronise_buffers(self.model)
            top1 = anytime_top1(self._predict(self._val_pixels, "validation", predict))
        except (Stopped, DataError):
            self._save_state(position, learner)
            raise
        prepare_model(self.model, position.stage, self.recipe)
        self._log.validation(position, top1)
        if self.ranks.is_first:
            shown = " ".join(f"{value:.1f}" for value in top1)
            say(f"stage {position.stage}, epoch {position.epoch + 1}: validation top-1 {shown} %", err=True)
        mean = sum(top1) / len(top1)
        if position.best is None or mean > position.best:
            position.best = mean
            self.folder.save(self.folder.best, self._checkpoint())

    def _evaluate(self) -> Evaluation:
        """Find thresholds on the training split, without augmentation, and apply them to the validation split."""
        macs = cumulative_macs(self.model)
        synchronise_buffers(self.model)
        thresholds, budgets = find_thresholds(self._predict(self._train_pixels, "thresholds"), macs)
        return evaluate(self._predict(self._val_pixels, "validation"), macs, thresholds, budgets)

    def _predict(self, pixels: PixelDataset, title: str, predict: Any = predict_all_steps) -> Predictions:
        predictions, unreadable = predict_split(
            self.model,
            pixels,
            batch_size=self.recipe.batch_size,
            workers=self.execution.workers,
            title=title,
            watch=self.interruption.watch,
            predict=predict,
        )
        self._note_unreadable(unreadable)
        return predictions

    def _note_unreadable(self, messages: Any) -> None:
        """Name every image that cannot be read, once."""
        for message in messages:
            if message not in self.unreadable:
                self.unreadable[message] = None
                say(f"gfnet: skipped {message}", err=True)

    def _save_is_due(self, position: Position) -> bool:
        every = self.execution.save_every
        if every and position.iteration % every == 0:
            return True
        return time.monotonic() - self._saved_at > 60 * self.execution.save_minutes

    def _save_state(self, position: Position, learner: Learner | None, *, finished: bool = False) -> None:
        if not self.ranks.is_first:
            return
        tensors, values = pack_learner(learner) if learner else ({}, {})
        values |= {
            "position": position.to_dict(),
            "metrics_bytes": self.folder.metrics_bytes,
            "images": len(self.train),
            "labels_sha256": _digest(self.train.labels),
            "finished": finished,
        }
        self.folder.save_last(self._checkpoint(), TrainingState(tensors, values))
        self._saved_at = time.monotonic()

    def _checkpoint(self, evaluation: Evaluation | None = None) -> Checkpoint:
        return Checkpoint(self.model, self.train.classes, evaluation, self.config)

    def _check(self) -> None:
        config = self.model.config
        for split in (self.train, self.val):
            if len(split.classes) != config.num_classes:
                raise TrainingError(
                    f"{split.root}: {len(split.classes)} classes, but the network has {config.num_classes}"
                )
        if config.steps < 2 and self.stages != (0,):
            raise TrainingError("a network of one step has no patches to learn; train it with --stage 0 alone")
        if self.execution.sync_bn and not torch.cuda.is_available():
            raise ConfigError("--sync-bn needs GPUs, and there is none; leave it out or use --freeze-bn")
        if self.recipe.batch_size < 2 * self.ranks.size:
            raise ConfigError(
                f"batch_size {self.recipe.batch_size} is too small for {self.ranks.size} ranks; use two images a rank "
                "or more"
            )
        if self.recipe.batch_size < 2 * self.ranks.size * self.execution.accumulate:
            raise ConfigError(
                f"accumulate {self.execution.accumulate} leaves fewer than two images of a batch of "
                f"{self.recipe.batch_size} to each part; use less, or a larger batch"
            )
        if 1 in self.stages and self.recipe.classifier_start == "heads":
            cascade_and_heads(self.model)
        if 0 in self.stages and self.recipe.epochs[0]:
            self._check_full_images()

    def _check_data(self, state: TrainingState) -> None:
        if state.values["images"] != len(self.train):
            raise TrainingError(
                f"{self.train.root}: {len(self.train)} images, but the run began with {state.values['images']}; "
                "give it the same data"
            )
        if state.values["labels_sha256"] != _digest(self.train.labels):
            raise TrainingError(
                f"{self.train.root}: other labels, or the same in another order, than when the run began; give it the "
                "same copy of the data"
            )

    def _check_full_images(self) -> None:
        """Stage 0 shows the local encoder whole images, which one made for a fixed size refuses."""
        config = self.model.config
        try:
            encoder_macs(self.model, config.image_size)
        except (AssertionError, RuntimeError) as error:
            raise TrainingError(
                f"arch {config.arch!r} takes inputs of {config.patch_size} pixels only, so stage 0 cannot train it on "
                f"full images of {config.image_size}; start from trained weights with --init-global and --init-local"
            ) from error


def _digest(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
