"""The commands ``gfnet prepare groceries``, ``caltech101`` and ``join``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gfnet.commands.options import (
    OutputFolder,
    examples,
    json_option,
    overwrite_option,
    report_unreadable,
    strict_option,
    together,
    write_result,
)
from gfnet.console.output import say

if TYPE_CHECKING:
    from gfnet.data.preparing import Prepared

_source = click.argument("source", type=click.Path(path_type=Path), metavar="SRC")
_out = click.argument("out", type=OutputFolder())


_writing_options = together(
    click.option(
        "--size",
        type=int,
        metavar="PIXELS",
        help="Rewrite all images as JPEG whose shorter side is at most this; without it files stay as they are.",
    ),
    overwrite_option,
    strict_option,
    json_option,
)
"""Options of everything that writes an image folder, handed on as they are."""


@click.group()
def prepare() -> None:
    """Turn downloaded data sets into training folders.

    Each command writes OUT/train/<class>/ and OUT/val/<class>/, which is what `gfnet train` reads. Nothing is
    downloaded. If your photos lie in such folders already, skip this.
    """


@prepare.command(epilog=examples("gfnet prepare groceries GroceryStoreDataset photos --size 320"))
@_source
@_out
@_writing_options
def groceries(source: Path, out: Path, json_path: Path | None, **writing: Any) -> None:
    """Prepare the Grocery Store data set.

    SRC is a copy of the repository marcusklasson/GroceryStoreDataset on GitHub, or of the folder dataset/ in it.

    OUT/train is the published train split, OUT/val the published test split (to report on), OUT/dev the published
    validation split (to choose settings with; it lacks some classes).
    """
    from gfnet.data.preparing import prepare_groceries

    _report(out, prepare_groceries(source, out, **writing), json_path, source=str(source), **writing)


@prepare.command()
@_source
@_out
@click.option(
    "--val-share",
    type=float,
    metavar="SHARE",
    default=0.15,
    show_default=True,
    help="Share of every class's images, from 0 to 1, that goes to OUT/val.",
)
@click.option(
    "--seed",
    type=int,
    metavar="NUMBER",
    default=0,
    show_default=True,
    help="Seed of the random split; the same seed gives the same split.",
)
@_writing_options
def caltech101(source: Path, out: Path, val_share: float, seed: int, json_path: Path | None, **writing: Any) -> None:
    """Prepare the Caltech-101 data set.

    SRC is the folder 101_ObjectCategories, or one that holds it, as published or as torchvision unpacks it. There is
    no published split, so a random share of every class becomes OUT/val. The background class is left out.
    """
    from gfnet.data.preparing import prepare_caltech101

    prepared = prepare_caltech101(source, out, val_share=val_share, seed=seed, **writing)
    _report(out, prepared, json_path, source=str(source), val_share=val_share, seed=seed, **writing)


@prepare.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SRC SRC...")
@_out
@_writing_options
def join(sources: tuple[Path, ...], out: Path, json_path: Path | None, **writing: Any) -> None:
    """Merge prepared folders into one, for example to pretrain on.

    OUT has the classes of all SRC folders; classes of the same name become one. Files are hard links where the file
    system allows it, and copies with --size.
    """
    from gfnet.data.preparing import join_folders

    _report(out, join_folders(sources, out, **writing), json_path, sources=list(map(str, sources)), **writing)


def _report(
    out: Path,
    prepared: Prepared,
    json_path: Path | None,
    *,
    size: int | None,
    overwrite: bool,
    strict: bool,
    **asked: Any,
) -> None:
    import dataclasses

    classes, splits = prepared
    for split in splits:
        say(f"{out}: {split.images} {split.name} images of {split.classes} classes")
    write_result(
        json_path,
        {
            "out": str(out),
            **asked,
            "size": size,
            "classes": list(classes),
            "splits": [dataclasses.asdict(split) for split in splits],
        },
    )
    report_unreadable([message for split in splits for message in split.unreadable])
