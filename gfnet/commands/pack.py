"""The command ``gfnet pack``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.cli import OutputFolder, json_option, report_unreadable, write_result
from gfnet.console.output import say


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", type=OutputFolder())
@click.option("--shard-size", type=float, metavar="MB", help="Megabytes a shard.  [default: 256]")
@click.option("--shard-images", type=int, help="Images a shard, in place of a size.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order; same seed, same bytes.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if this command wrote it.")
@click.option("--strict", is_flag=True, help="Stop at the first image that cannot be read.")
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
    """Pack FOLDER/{train,val}/<class> into tar shards OUT/train-000000.tar ..., as WebDataset reads them."""
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
