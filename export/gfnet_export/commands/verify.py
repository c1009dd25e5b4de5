"""The command ``gfnet verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gfnet.commands.options import (
    classes_option,
    examples,
    json_option,
    official_options,
    report_unreadable,
    threshold_options,
    write_result,
)
from gfnet.commands.parameters import CheckpointFile
from gfnet.console.output import say

if TYPE_CHECKING:  # imported when a command runs: `gfnet --help` stays fast
    from gfnet_export.bundle.reader import Bundle


@click.command(
    epilog=examples(
        "gfnet verify bundle --against run/model.safetensors --images photos/val",
        "gfnet verify bundle --against run/model.safetensors --images dev --retune",
    )
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=CheckpointFile(path_type=Path),
    required=True,
    metavar="CHECKPOINT",
    help="Checkpoint that the bundle was exported from.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of photos to compare the answers on; synthetic scenes by default.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="COUNT",
    help="Use at most this many of these photos, spread evenly; 200 by default, 60 for Core AI bundles, whose runtime "
    "takes seconds for an image.",
)
@threshold_options
@click.option(
    "--retune",
    is_flag=True,
    help="Find new thresholds for the exported network on --images, and write them to the bundle.",
)
@classes_option
@official_options
@json_option
def verify(
    bundle: Path,
    against: Path,
    images: Path | None,
    limit: int | None,
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    retune: bool,
    class_map: str | None,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Check that an exported network answers like its checkpoint.

    Compares what the manifest says, the outputs of every subgraph, and every decision. The bundle runs on ONNX Runtime,
    on Apple's Core AI runtime, or in an interpreter of Core ML packages, and on a Mac on Core ML too.

    The outcome is passed, failed (exit code 1), or undecided: no difference was found, but more images are needed to be
    sure, and it is said how many.
    """
    import sys

    from gfnet.checkpoint import load_checkpoint
    from gfnet.inference.exits import ALWAYS, NEVER, resolve_thresholds
    from gfnet_export.bundle.reader import open_bundle
    from gfnet_export.verify.report import read_squares, verification_table
    from gfnet_export.verify.retuning import retune as retune_bundle
    from gfnet_export.verify.verification import expected_manifest
    from gfnet_export.verify.verification import verify as run_verification

    if retune and images is None:
        raise click.UsageError("--retune needs photos like those of later use; pass --images")
    if class_map and images is None:
        raise click.UsageError("--classes maps the folders of photos; pass --images")
    opened = open_bundle(bundle, manifest_digest=False)
    points = opened.manifest.budgets
    limits = None
    if points or all_steps or thresholds or budget:
        limits = resolve_thresholds(
            points, opened.manifest.steps, all_steps=all_steps, thresholds=thresholds, budget=budget
        ) or (*[NEVER] * (opened.manifest.steps - 1), ALWAYS)
    checkpoint = load_checkpoint(against, **official)
    squares, labels, unreadable = read_squares(
        expected_manifest(opened, checkpoint), images, limit or _default_limit(opened), class_map
    )
    found = run_verification(opened, checkpoint, squares, thresholds=limits, labels=labels)
    say(verification_table(found))
    if retune and found.outcome == "failed":
        say(f"{bundle}: the thresholds stay as they are, as not all gates are passed")
    elif retune and found.confidence is not None and found.predicted is not None:
        changed = retune_bundle(opened, found.confidence, found.predicted, labels)
        say(f"{bundle}: {len(changed.manifest.budgets)} sets of thresholds, found on {len(squares)} images")
    write_result(json_path, found.to_dict())
    if found.outcome == "failed":
        sys.exit(1)
    report_unreadable(unreadable)


def _default_limit(bundle: Bundle) -> int:
    """How many images are compared if nobody says it: as many as tell whether float16 is right where it takes long."""
    if bundle.manifest.format != "coreai":
        return 200
    say("Apple's Core AI runtime takes seconds for an image: at most 60 are compared; --limit changes it")
    return 60
