"""The command ``gfnet predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gfnet.commands.options import (
    choice,
    examples,
    json_option,
    needs_extra,
    official_options,
    refuse_unless,
    report_unreadable,
    strict_option,
    threshold_options,
    together,
    write_result,
)
from gfnet.console.output import say
from gfnet_export.choices import Provider

if TYPE_CHECKING:  # imported when a command runs: `gfnet --help` stays fast
    from gfnet.inference.predictor import Predictor

_DRAWN = "set of drawn pictures"
network_arguments = together(
    click.argument("network", type=click.Path(path_type=Path), metavar="NETWORK"),
    click.argument("images", nargs=-1, required=True, metavar="IMAGE..."),
)


@click.command(
    epilog=examples(
        "gfnet predict groceries photo.jpg",
        "gfnet predict run/model.safetensors photos --budget 60M --json answers.json",
        "gfnet predict bundle photos --draw drawings",
    )
)
@network_arguments
@threshold_options
@click.option("--logits", is_flag=True, help="Include the logits of every step in the JSON.")
@click.option(
    "--draw",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write each photo to DIR with the patches drawn that the network looked at.",
)
@click.option(
    "--provider",
    type=choice(Provider),
    help="Execution provider of ONNX Runtime that runs an ONNX bundle; cpu by default.",
)
@click.option(
    "--exact-int8",
    is_flag=True,
    help="Keep the products of an int8 bundle from saturating on x86 processors without VNNI; slower.",
)
@strict_option
@official_options
@json_option
def predict(
    network: Path,
    images: tuple[str, ...],
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    logits: bool,
    draw: Path | None,
    provider: Provider | None,
    exact_int8: bool,
    strict: bool,
    json_path: Path | None,
    **official: Any,
) -> None:
    """Classify photos with a network.

    NETWORK is a checkpoint, an exported bundle, or the name of an included network (groceries). IMAGE is a file or a
    folder. A line for each photo shows its class, the confidence and the step at which the network stopped. Photos that
    cannot be read are named and left out, and the exit code is then 1.
    """
    needs_extra("runtime")
    refuse_unless(json_path, "with --json", "logits")
    from gfnet.console.progress import Progress
    from gfnet.files.replacing import check_files, record_files
    from gfnet.files.writing import atomic_file
    from gfnet.inference.traces import label_of
    from gfnet.pictures.traces import draw_seen, picture_name

    predictor, files, limits = prepare(
        network, images, all_steps, thresholds, budget, official, provider, draw, exact_int8
    )
    names = {str(file): picture_name(number, str(file)) for number, file in enumerate(files)}
    if draw is not None:
        check_files(draw, names.values(), _DRAWN, files)
    unreadable: list[str] = []
    results: list[dict[str, Any]] = []
    lines: list[str] = []
    with Progress("predict", len(files), "images") as progress:
        for trace, pixels in predictor.stream(files, limits, unreadable=None if strict else unreadable):
            label = label_of(trace.class_index, predictor.labels)
            lines.append(f"{trace.image}  {label}  {trace.confidence:.3f}  step {trace.exit_step}")
            if draw is not None:
                if not results:
                    record_files(draw, names.values(), _DRAWN)
                with atomic_file(draw / names[trace.image], tidy=not results) as temporary:
                    draw_seen(predictor, trace, pixels).save(temporary)
            results.append(trace.to_dict(predictor.labels, logits=logits))
            progress.advance()
    for line in lines:  # after the progress bar, which they would tear apart
        say(line)
    if draw is not None:
        say(f"{draw}: {len(results)} pictures")
    write_result(json_path, results)
    report_unreadable(unreadable)


def prepare(
    network: Path,
    images: tuple[str, ...],
    all_steps: bool,
    thresholds: str | None,
    budget: str | None,
    official: dict[str, Any],
    provider: Provider | None = None,
    out: Path | None = None,
    exact_int8: bool = False,
) -> tuple[Predictor, list[Path], Sequence[float] | None]:
    """The network, the image files, and when to stop.

    Raises:
        GFNetError: one of them is missing or invalid, or ``out``, where pictures are to be written, lies in a folder of
            images.
    """
    from gfnet.files.replacing import refuse_lying_in
    from gfnet.inference.exits import resolve_thresholds
    from gfnet.inference.images import find_images
    from gfnet.loading import load

    if out is not None:
        refuse_lying_in(out, [Path(image) for image in images if Path(image).is_dir()])
    files = find_images(images)
    predictor = load(network, provider=provider, exact_int8=exact_int8, **official)
    limits = resolve_thresholds(
        predictor.points, predictor.runner.steps, all_steps=all_steps, thresholds=thresholds, budget=budget
    )
    return predictor, files, limits
