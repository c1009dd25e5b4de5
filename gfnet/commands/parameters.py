"""Types of options and arguments whose values are checked when the command line is read.

So what is missing or misspelt is refused at once, before the command imports torch.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from gfnet.config import OFFICIAL_ARCHS, unknown_backbone
from gfnet.shipped import checkpoint_path


class CheckpointFile(click.Path):
    """A checkpoint file, or the name of a network in the package."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        converted = super().convert(value, param, ctx)
        checkpoint_path(value)
        return converted


class DataSource(click.ParamType[str]):
    """A folder with ``train/`` and ``val/``, or shards."""

    name = "data"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(value)
        if not path.exists() and ".tar" not in path.name:
            from gfnet.data import open_splits

            open_splits(path)  # says what is missing
        return value


class Backbone(click.ParamType[str]):
    """The name of an official backbone or of a timm model."""

    name = "backbone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in OFFICIAL_ARCHS:
            _look_for_in_timm(value)
        return value


def _look_for_in_timm(name: str) -> None:
    """Look for a model's name in timm's source, since importing timm takes seconds.

    What looks like a name there may be none; :class:`gfnet.network.backbones.TimmEncoder` then refuses it.

    Raises:
        ConfigError: timm's source does not mention it.
    """
    found = find_spec("timm")
    if found is None:
        return  # the command will name the extra that brings it
    sources = [
        path.read_bytes() for place in found.submodule_search_locations or () for path in Path(place).rglob("*.py")
    ]
    model = re.escape(name.partition(".")[0].encode())  # without the tag of its weights
    if any(re.search(rb"(?<![\w.:-])%s(?![\w:-])" % model, source) for source in sources):
        return
    defined = rb"@register_model\s+def (%s\w*)" % re.escape(name[:6].encode())
    raise unknown_backbone(name, sorted({near.decode() for source in sources for near in re.findall(defined, source)}))
