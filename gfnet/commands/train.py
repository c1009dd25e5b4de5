"""The command ``gfnet train``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from gfnet.cli import classes_option, json_option, refuse_unless, write_result
from gfnet.console.output import say
from gfnet.console.parameters import Backbone, CheckpointFile, DataSource

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


@click.command()
@click.option(
    "--data",
    type=DataSource(),
    metavar="DIR|SHARDS",
    help="Folder with train/ and val/, or shards: 's/train-{00..12}.tar'.",
)
@click.option("--val-data", metavar="SHARDS", help="Shards of the validation split, where --data does not say.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="YAML, as --dry-run prints it.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Any setting: recipe.ppo.clip=0.1.")
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and stop.")
@click.option("--resume", is_flag=True, help="Go on with the run in OUT; begin it if there is none.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run left of these stages.")
@click.option("--arch", type=Backbone(), help="Official backbone or timm model.  [default: mobilenetv3_large_100]")
@click.option("--patch-size", type=int, help="Side of every step's input, pixels.  [default: 96]")
@click.option("--steps", type=int, help="T: the glance and T-1 patches.  [default: 3]")
@click.option("--image-size", type=int, help="Side of the full-resolution image; the family's own by default.")
@click.option("--crop-ratio", type=float, help="Centre crop's share of the resized image; the family's own by default.")
@click.option("--stage", type=click.Choice(["0", "1", "2", "3", "all"]), help="[default: all]")
@click.option("--init", type=CheckpointFile(), help="Checkpoint to start from; its network is kept.")
@click.option(
    "--init-global", type=click.Path(), metavar="FILE", help="A backbone's or a checkpoint's, for the glance."
)
@click.option("--init-local", type=click.Path(), metavar="FILE", help="The same for the local encoder.")
@click.option("--epochs", help="Epochs of stages 0 to 3, e.g. 90,60,15,60; the family's recipe by default.")
@click.option("--batch-size", type=int, help="Images an iteration, over all ranks.")
@click.option("--initial-lr", type=float, help="Learning rate of stage 0.")
@click.option("--encoder-lr", type=float, help="Learning rate of the encoders in stages 1 and 3.")
@click.option("--classifier-lr", help="Learning rates of the classifier in stages 1 and 3, e.g. 0.1,0.01.")
@click.option("--policy-lr", type=float, help="Learning rate of stage 2.")
@click.option(
    "--reward",
    type=click.Choice(["increase", "contrastive"]),
    help="Stage 2: of the true class's confidence, or over a random patch, which runs every focus step twice.",
)
@click.option(
    "--augmentation", type=click.Choice(["crop", "jitter", "flip", "none"]), help="`flip` for tiny telling details."
)
@click.option("--freeze-bn/--no-freeze-bn", default=None, help="Stages 1 and 3 keep BatchNorm's statistics.")
@click.option("--clip-grad-norm", type=float, help="Largest norm of the gradients.")
@click.option("--seed", type=int, help="Of everything random.  [default: 0]")
@click.option("--workers", type=int, help="Decoding processes a rank; 0: here, kept in memory.  [default: 0]")
@click.option("--amp", type=click.Choice(["off", "bf16", "fp16"]), help="Mixed precision.  [default: off]")
@click.option("--compile/--no-compile", default=None, help="Let torch compile the encoders.")
@click.option("--channels-last/--no-channels-last", default=None, help="Memory layout.  [default: channels-last]")
@click.option("--sync-bn/--no-sync-bn", default=None, help="BatchNorm over all ranks; needs GPUs.")
@click.option("--accumulate", type=int, help="Parts of a batch whose gradients are added up.  [default: 1]")
@click.option("--on-nan", type=click.Choice(["stop", "skip"]), help="When a loss is no number.  [default: stop]")
@click.option(
    "--most-skipped",
    "most_skipped_share",
    type=float,
    metavar="SHARE",
    help="Of an epoch's batches that may be skipped; training stops at more.  [default: 0.1]",
)
@click.option("--save-every", type=int, help="Iterations between saves; by default ten minutes, and every epoch.")
@click.option("--log-every", type=int, help="Iterations between lines in metrics.jsonl.  [default: 50]")
@click.option("--validate-every", type=int, help="Epochs between validations; 0: only at the end.  [default: 1]")
@click.option("--timeout", "timeout_s", type=float, help="Seconds that a rank waits for the others.  [default: 600]")
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
    """Train a network in four stages: encoders, random patches, policy, fine-tuning.

    Under `torchrun -m gfnet train ...` the same command runs on many GPUs or machines.
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
    for part in reversed(place.split(".")):
        value = {part: value}
    return value


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
