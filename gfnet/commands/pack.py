"""The command ``gfnet pack``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.commands.options import (
    OutputFolder,
    examples,
    json_option,
    overwrite_option,
    report_unreadable,
    strict_option,
    write_result,
)
from gfnet.console.output import say


@click.command(epilog=examples("gfnet pack photos shards", "gfnet train --data shards --out run"))
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", type=OutputFolder())
@click.option("--shard-size", type=float, metavar="MB", help="Largest size of a shard in megabytes; 256 by default.")
@click.option("--shard-images", type=int, metavar="COUNT", help="Images in each shard, instead of a size.")
@click.option(
    "--seed",
    type=int,
    metavar="NUMBER",
    default=0,
    show_default=True,
    help="Seed of the images' random order; the same seed gives the same files.",
)
@overwrite_option
@strict_option
@json_option
def pack(
    folder: Path,
    out: Path,
    shard_size: float | None,
    shard_images: int | None,
    seed: int,
    overwrite: bool,
    strict: bool,
    json_path: Path | None,
) -> None:
    """Pack an image folder into tar shards.

    Reads FOLDER/train/<class>/ and FOLDER/val/<class>/, and writes OUT/train-000000.tar and so on, which this project
    and WebDataset read. Shards are for large data sets on disks that are slow with many small files.
    """
    import dataclasses

    from gfnet.data.packing import pack_folder

    classes, splits = pack_folder(
        folder,
        out,
        shard_mb=shard_size,
        shard_images=shard_images,
        seed=seed,
        overwrite=overwrite,
        strict=strict,
    )
    for split in splits:
        say(
            f"{out}: {split.images} {split.name} images of {len(classes)} classes, shards: {split.shards}, "
            f"{split.bytes / 1e6:.1f} MB"
        )
    write_result(
        json_path,
        {
            "out": str(out),
            "seed": seed,
            "classes": list(classes),
            "splits": [dataclasses.asdict(split) for split in splits],
        },
    )
    report_unreadable([message for split in splits for message in split.unreadable])
