"""The command ``gfnet train``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from gfnet.choices import Amp, OnNaN
from gfnet.commands.options import choice, classes_option, examples, json_option, refuse_unless, write_result
from gfnet.commands.parameters import Backbone, CheckpointFile, DataSource
from gfnet.config import Augmentation
from gfnet.console.output import say
from gfnet.training.recipe import STAGES, Reward

# Where each option goes in the run's configuration.
_PLACES = {
    "data": "data",
    "val_data": "val_data",
    "class_map": "classes",
    "stage": "stages",
    "init": "init",
    "init_global": "init_global",
    "init_local": "init_local",
    **{name: f"model.{name}" for name in ("arch", "patch_size", "steps", "image_size", "crop_ratio")},
    **{
        name: f"recipe.{name}"
        for name in (
            *("epochs", "batch_size", "initial_lr", "encoder_lr", "classifier_lr", "augmentation", "seed"),
            *("freeze_bn", "clip_grad_norm"),
        )
    },
    "policy_lr": "recipe.ppo.lr",
    "reward": "recipe.ppo.reward",
    **{
        name: f"execution.{name}"
        for name in (
            *("workers", "amp", "compile", "sync_bn", "accumulate", "on_nan", "save_every"),
            *("most_skipped_share", "channels_last", "log_every", "validate_every", "timeout_s"),
        )
    },
}
_STAGES_OF = (
    ({0}, "to stage 0", ("initial_lr",)),
    ({1, 3}, "to stages 1 and 3", ("encoder_lr", "classifier_lr", "freeze_bn")),
    ({2}, "to stage 2", ("policy_lr", "reward")),
)
"""Options of some stages alone; those of a whole recipe, whichever stages are run, go into --config or --set."""
_NUMBERS = {"epochs": (4, int), "classifier_lr": (2, float)}


@click.command(
    epilog=examples(
        "gfnet train --data photos --out run",
        "gfnet train --data photos --out run --arch resnet50 --epochs 0,30,10,20",
        "gfnet train --data photos --out run --resume",
    )
)
@click.option(
    "--data",
    type=DataSource(),
    metavar="DIR|SHARDS",
    help="Folder with train/<class>/ and val/<class>/, or shards such as 'shards/train-{000000..000012}.tar'.",
)
@click.option(
    "--val-data", metavar="SHARDS", help="Shards of the validation split, where --data names the training shards."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder of the run, which is made."
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YAML file with settings, in the form that --dry-run prints. Options given here replace them.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change any setting that --dry-run prints, e.g. recipe.ppo.clip=0.1. May be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Print all settings as YAML and stop.")
@click.option("--resume", is_flag=True, help="Continue the run in --out, or start it if there is none.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run of these stages in --out.")
@click.option(
    "--arch",
    type=Backbone(),
    metavar="NAME",
    help="Backbone: one of the papers' or any timm model; mobilenetv3_large_100 by default.",
)
@click.option(
    "--patch-size", type=int, metavar="PIXELS", help="Side of the input of every step in pixels; 96 by default."
)
@click.option(
    "--steps", type=int, metavar="T", help="Most steps for an image, the glance and T-1 patches; 3 by default."
)
@click.option(
    "--image-size",
    type=int,
    metavar="PIXELS",
    help="Side of the full-resolution image in pixels; by default that of the backbone's family.",
)
@click.option(
    "--crop-ratio",
    type=float,
    metavar="SHARE",
    help="Side of the centre crop as a share of the resized image's; by default that of the backbone's family.",
)
@click.option(
    "--stage",
    type=click.Choice([*map(str, STAGES), "all"]),
    help="Stage to run: 0 (encoders), 1 (random patches), 2 (policy), 3 (fine-tuning), or all, the default.",
)
@click.option(
    "--init",
    type=CheckpointFile(),
    metavar="CHECKPOINT",
    help="Checkpoint to start from, which decides the network's configuration.",
)
@click.option(
    "--init-global",
    type=click.Path(),
    metavar="FILE",
    help="Weights of a backbone, or a checkpoint, from which the global encoder (of the glance) starts.",
)
@click.option(
    "--init-local",
    type=click.Path(),
    metavar="FILE",
    help="Weights of a backbone, or a checkpoint, from which the local encoder (of the patches) starts.",
)
@click.option(
    "--epochs",
    metavar="NUMBERS",
    help="Epochs of stages 0, 1, 2 and 3, e.g. 90,60,15,60; by default those of the family's published recipe.",
)
@click.option(
    "--batch-size",
    type=int,
    metavar="COUNT",
    help="Images in an iteration, over all processes; by default that of the family's recipe.",
)
@click.option(
    "--initial-lr", type=float, metavar="RATE", help="Learning rate of stage 0; by default that of the family's recipe."
)
@click.option(
    "--encoder-lr",
    type=float,
    metavar="RATE",
    help="Learning rate of the encoders in stages 1 and 3; by default that of the family's recipe.",
)
@click.option(
    "--classifier-lr",
    metavar="NUMBERS",
    help="Learning rates of the classifier in stages 1 and 3, e.g. 0.1,0.01; by default those of the family's recipe.",
)
@click.option(
    "--policy-lr", type=float, metavar="RATE", help="Learning rate of stage 2; by default that of the family's recipe."
)
@click.option(
    "--reward",
    type=choice(Reward),
    help="Reward of stage 2. increase: how much the true class's confidence grows in a step; contrastive: how much it "
    "exceeds that of a random patch, which runs every focus step twice. By default that of the family's recipe.",
)
@click.option(
    "--augmentation",
    type=choice(Augmentation),
    help="Change training images at random. crop: crops and flips; jitter: colours too; flip: flips only, where a crop "
    "could lose what tells the class. By default that of the family's recipe.",
)
@click.option(
    "--freeze-bn/--no-freeze-bn",
    default=None,
    help="Keep the statistics of BatchNorm fixed in stages 1 and 3; by default they change.",
)
@click.option(
    "--clip-grad-norm", type=float, metavar="NORM", help="Clip the norm of the gradients to this; no limit by default."
)
@click.option("--seed", type=int, metavar="NUMBER", help="Seed of everything random; 0 by default.")
@click.option(
    "--workers",
    type=int,
    metavar="COUNT",
    help="Processes that decode images, for each GPU. 0, the default: the training process decodes, and keeps small "
    "data sets in memory.",
)
@click.option("--amp", type=choice(Amp), help="Mixed precision; off, which is float32, by default.")
@click.option("--compile/--no-compile", default=None, help="Let torch compile the encoders; off by default.")
@click.option(
    "--channels-last/--no-channels-last",
    default=None,
    help="Memory layout of images and convolutions; channels last by default.",
)
@click.option(
    "--sync-bn/--no-sync-bn",
    default=None,
    help="Compute the statistics of BatchNorm over all GPUs; off by default.",
)
@click.option(
    "--accumulate",
    type=int,
    metavar="COUNT",
    help="Split a batch into this many parts and add their gradients, to save memory; 1 by default.",
)
@click.option(
    "--on-nan",
    type=choice(OnNaN),
    help="What to do when a loss is NaN or infinite: stop, or skip the batch; stop by default.",
)
@click.option(
    "--most-skipped",
    "most_skipped_share",
    type=float,
    metavar="SHARE",
    help="Share of an epoch's batches, from 0 to 1, that --on-nan skip may skip before training stops; 0.1 by default.",
)
@click.option(
    "--save-every",
    type=int,
    metavar="ITERATIONS",
    help="Iterations between saves of the run; by default it is saved every ten minutes and after each epoch.",
)
@click.option(
    "--log-every", type=int, metavar="ITERATIONS", help="Iterations between lines in metrics.jsonl; 50 by default."
)
@click.option(
    "--validate-every",
    type=int,
    metavar="EPOCHS",
    help="Epochs between validations, 0 for one at the end only; 1 by default.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    metavar="SECONDS",
    help="Time that a process under torchrun waits for the others, in seconds; 600 by default.",
)
@classes_option
@json_option
def train(
    out: Path,
    config: Path | None,
    assignments: tuple[str, ...],
    dry_run: bool,
    resume: bool,
    overwrite: bool,
    json_path: Path | None,
    **given: Any,
) -> None:
    """Train a network on your images.

    Training has four stages: 0 trains the encoders as plain classifiers, 1 trains the network without its policy on
    random patches, 2 trains the policy, 3 trains the rest again on the patches that the policy chooses. At the end exit
    thresholds are found and the network is saved as OUT/model.safetensors.

    `torchrun -m gfnet train ...` runs the same on several GPUs or machines.
    """
    from gfnet.training.interruption import Stopped
    from gfnet.training.launch import launch, plan
    from gfnet.training.settings import merge, parse_assignment, parse_stages, read_options

    options = merge(
        read_options(config) if config else {},
        *(parse_assignment(assignment) for assignment in assignments),
        *(_nested(_PLACES[name], _value(name, value)) for name, value in given.items() if value is not None),
    )
    stages = set(parse_stages(options.get("stages", "all")))
    for needed, told, names in _STAGES_OF:
        refuse_unless(stages & needed, told, *names)
    refuse_unless(not dry_run, "to a run that is started", "resume")
    if dry_run:
        resolved = plan(out, options)
        say(*resolved.to_yaml().splitlines())
        write_result(json_path, resolved.to_dict())
        return
    try:
        checkpoint, reports = launch(out, options, resume=resume, overwrite=overwrite)
    except Stopped as stop:
        if os.environ.get("RANK", "0") == "0":  # all ranks stop together
            say(f"gfnet: stopped by {stop}; go on with `gfnet train --resume --out {out}`", err=True)
        sys.exit(stop.exit_code)
    if not reports:
        return
    from gfnet.commands.summary import describe_checkpoint, evaluation_table
    from gfnet.training.curves import skipped_batches
    from gfnet.training.run_folder import RunFolder

    assert checkpoint.evaluation is not None
    say(evaluation_table(checkpoint.evaluation))
    skipped = skipped_batches(RunFolder(out).metrics)
    for epoch in skipped:
        say(f"stage {epoch['stage']}, epoch {epoch['epoch']}: batches skipped: {epoch['skipped']}")
    say(f"saved {out / 'model.safetensors'}")
    write_result(json_path, {**describe_checkpoint(checkpoint, checkpoint.evaluation.macs), "skipped": skipped})


def _nested(place: str, value: Any) -> dict[str, Any]:
    *outer, name = place.split(".")
    nested = {name: value}
    for part in reversed(outer):
        nested = {part: nested}
    return nested


def _value(name: str, value: Any) -> Any:
    """An option's value; lists are written with commas."""
    if name not in _NUMBERS:
        return value
    count, kind = _NUMBERS[name]
    try:
        numbers = [kind(part) for part in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise click.UsageError(f"--{name.replace('_', '-')} {value!r}: give {count} comma-separated numbers")
    return numbers
