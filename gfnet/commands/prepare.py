"""The commands ``gfnet prepare groceries``, ``caltech101`` and ``join``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gfnet.cli import OutputFolder, json_option, report_unreadable, write_result
from gfnet.console.output import say

if TYPE_CHECKING:
    from gfnet.data.preparing import Prepared

_source = click.argument("source", type=click.Path(path_type=Path), metavar="SRC")
_out = click.argument("out", type=OutputFolder())


def _writing_options(command):
    """Options of everything that writes an image folder, handed on as they are."""
    for option in (
        json_option,
        click.option("--strict", is_flag=True, help="Stop at the first image that cannot be read."),
        click.option("--overwrite", is_flag=True, help="Replace OUT if this command wrote it."),
        click.option("--size", type=int, metavar="N", help="Rewrite as JPEG, shorter side at most N pixels."),
    ):
        command = option(command)
    return command


@click.group()
def prepare() -> None:
    """Turn published data sets into image folders that training takes."""


@prepare.command()
@_source
@_out
@_writing_options
def groceries(source: Path, out: Path, json_path: Path | None, **writing: Any) -> None:
    """The Grocery Store data set, as published on GitHub.

    SRC is the repository marcusklasson/GroceryStoreDataset or the folder dataset/ in it.

    OUT/train is the published train split, OUT/val the published test split (to report on), OUT/dev the published
    validation split (to choose by; it lacks some classes).
    """
    from gfnet.data.preparing import prepare_groceries

    _report(out, prepare_groceries(source, out, **writing), json_path, source=str(source), **writing)


@prepare.command()
@_source
@_out
@click.option("--val-share", type=float, default=0.15, show_default=True, help="Of every class, for OUT/val.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice; same seed, same split.")
@_writing_options
def caltech101(source: Path, out: Path, val_share: float, seed: int, json_path: Path | None, **writing: Any) -> None:
    """Caltech-101, as published or as torchvision unpacks it.

    SRC is 101_ObjectCategories, or holds it, or holds it in caltech101.  There is no published split, so a random
    share of every class becomes OUT/val.  The background class is left out.
    """
    from gfnet.data.preparing import prepare_caltech101

    prepared = prepare_caltech101(source, out, val_share=val_share, seed=seed, **writing)
    _report(out, prepared, json_path, source=str(source), val_share=val_share, seed=seed, **writing)


@prepare.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SRC SRC...")
@_out
@_writing_options
def join(sources: tuple[Path, ...], out: Path, json_path: Path | None, **writing: Any) -> None:
    """Several prepared folders as one, e.g. to pretrain on.

    OUT has the classes of all; classes of one name become one.  Files are hard links where the file system allows,
    copies with --size.
    """
    from gfnet.data.preparing import join_folders

    _report(out, join_folders(sources, out, **writing), json_path, sources=list(map(str, sources)), **writing)


def _report(
    out: Path, prepared: Prepared, json_path: Path | None, *, size: int | None, overwrite: bool, strict: bool, **asked
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
