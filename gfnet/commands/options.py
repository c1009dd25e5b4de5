"""Options that commands share, and what they ask for: where output goes, what would be ignored, the result as JSON."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from gfnet.choices import Solver
from gfnet.commands.parameters import Backbone
from gfnet.console import output as console
from gfnet.console.output import say
from gfnet.errors import ConfigError
from gfnet.files.replacing import check_output_file, refuse_holding
from gfnet.files.writing import check_writable, json_text, write_text

Command = TypeVar("Command", bound=Callable[..., Any])

EXTRA = "gfnet.extra"
"""The key, in a context's ``meta``, of the extra that :func:`needs_extra` names."""


def choice(literal: Any) -> click.Choice[str]:
    """The type of an option that takes one of the values of a ``Literal``."""
    return click.Choice(get_args(literal))


def examples(*commands: str) -> str:
    """The end of a command's help: what a person might type."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator; the help lists them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


class OutputFile(click.Path):
    """The type of an option that names a file to write."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


class OutputFolder(click.Path):
    """The type of an option that names a folder which is written, and replaced, as a whole."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--json FILE``, the same on every command; what the command writes is checked before it begins.

    With ``--json -`` the result goes to standard output, and everything else that is said to standard error.
    """

    @functools.wraps(command)
    def checked(*args: Any, **given: Any) -> None:
        context = click.get_current_context()
        _check_outputs(context)
        if given["json_path"] != _STANDARD_OUTPUT:
            return command(*args, **given)
        context.meta[_JSON_STREAM] = sys.stdout
        with redirect_stdout(sys.stderr):
            return command(*args, **given)

    option = click.option(
        "--json",
        "json_path",
        type=OutputFile(),
        metavar="FILE",
        help="Write the result as JSON to FILE, or to standard output for -.",
    )
    return option(checked)


_STANDARD_OUTPUT = Path("-")
_PATTERN = re.compile(r"[{*?\[]")  # of shards' names
_JSON_STREAM = "gfnet.json_stream"


def _check_outputs(context: click.Context) -> None:
    """Refuse options whose output would replace what another option names, or cannot be written.

    Raises:
        GFNetError: names what is in the way.
    """
    files: list[Path] = []
    folders: list[Path] = []
    inputs: list[Path] = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if isinstance(parameter.type, OutputFile):
            files += [value] if value not in (None, _STANDARD_OUTPUT) else []
        elif isinstance(parameter.type, OutputFolder):
            folders += [value] if value is not None else []
        else:
            inputs += _named_in(value)
    for folder in folders:
        refuse_holding(folder, inputs)
    places = [os.path.realpath(file) for file in files]
    for file, place in zip(files, places, strict=True):
        check_output_file(file, inputs)
        check_writable(file)
        if places.count(place) > 1 and (file.is_file() or not file.exists()):
            raise ConfigError(f"{file}: is named for two different outputs; give each its own file")
        for folder in folders:
            if Path(place).is_relative_to(os.path.realpath(folder)):
                raise ConfigError(f"{file}: lies in {folder}, which is written as a whole; choose another file")


def _named_in(value: Any) -> list[Path]:
    """The files and folders that an option's value names: FILE, NAME=FILE, FILE#NAME or folder/train-{00..12}.tar."""
    if isinstance(value, tuple | list):
        return [path for one in value for path in _named_in(one)]
    if not isinstance(value, str | os.PathLike):
        return []
    text = os.fspath(value)
    pattern = _PATTERN.search(text)
    folder = os.path.dirname(text[: pattern.start()]) or "." if pattern else ""
    candidates = (text, text.partition("=")[2], text.partition("#")[0], folder)
    return [Path(candidate) for candidate in dict.fromkeys(candidates) if candidate and os.path.exists(candidate)]


classes_option = click.option(
    "--classes",
    "class_map",
    metavar="by-name|by-number|FILE.json",
    help="How the classes of the data map to the network's where their names differ. by-name: to the class of the same "
    'name; by-number: to the class of the same number; FILE.json: as the file says, {"data name": "network name"}.',
)
"""``--classes``, the same on every command that pairs data with a network; :mod:`gfnet.data.classes` follows it."""

official_options = together(
    click.option(
        "--arch",
        type=Backbone(),
        metavar="NAME",
        help="Backbone of a .pth.tar of the papers' own code that does not name it.",
    ),
    click.option(
        "--patch-size",
        type=int,
        metavar="PIXELS",
        help="Patch size of a .pth.tar of the papers' own code that does not name it.",
    ),
    click.option(
        "--steps",
        type=int,
        metavar="T",
        help="Number of steps of a .pth.tar of the papers' own code that does not name it.",
    ),
)
"""Options that complete an official trainer's checkpoint, which does not say what it is."""

threshold_options = together(
    click.option("--all-steps", is_flag=True, help="Run all steps for every image, whatever the confidence."),
    click.option(
        "--thresholds",
        metavar="NUMBERS",
        help="Stop at a step when the confidence reaches its threshold; one number for each step but the last, e.g. "
        "0.8,0.7.",
    ),
    click.option(
        "--budget",
        metavar="NUMBER[K|M|G]",
        help="Use the stored thresholds that spend at most this many multiply-adds per image on average, e.g. 60M. "
        "Without any of these three options, the most accurate stored thresholds are used.",
    ),
)
"""Options that say when images may stop; resolved by :func:`gfnet.inference.exits.resolve_thresholds`."""

solver_option = click.option(
    "--solver",
    type=choice(Solver),
    default="geometric",
    show_default=True,
    help="How new thresholds are found. geometric: by the papers' rule; optimal: the most accurate ones at the same "
    "average cost.",
)
batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="COUNT",
    default=64,
    show_default=True,
    help="Images that run at once; fewer need less memory.",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace the output folder, if this command wrote it."
)
strict_option = click.option(
    "--strict", is_flag=True, help="Stop at the first image that cannot be read, instead of leaving it out."
)


def needs_extra(extra: str) -> None:
    """Say which extra this command is a part of, for the user who lacks a package of it."""
    click.get_current_context().meta[EXTRA] = extra


def given(name: str) -> bool:
    """Whether the user gave this parameter of the current command, rather than leave its default."""
    source = click.get_current_context().get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)


def refuse_unless(applies: Any, condition: str, *names: str) -> None:
    """Refuse options that would be ignored.

    Args:
        applies: whether ``condition`` holds.
        condition: what the options are for, as in "--precision int8".
        names: the options' parameters.

    Raises:
        click.UsageError: it does not, and one of them was given.
    """
    if applies:
        return
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in names and given(parameter.name):
            option = "/".join((*parameter.opts, *parameter.secondary_opts))
            raise click.UsageError(f"{option} applies only {condition}; leave it out", context)


def write_result(json_path: Path | None, result: Any) -> None:
    """Write a command's machine-readable result where ``--json`` asked for it.

    Raises:
        GFNetError: it cannot be written, or would replace a file that the command itself wrote.
    """
    if json_path is None:
        return
    text = json_text(result)
    if json_path == _STANDARD_OUTPUT:
        console.write(text, click.get_current_context().meta[_JSON_STREAM])
    else:
        check_output_file(json_path)
        write_text(json_path, text)


def report_unreadable(messages: list[str]) -> None:
    """Name the images that could not be read, count them, and end with exit code 1 if there are any."""
    if messages:
        for message in messages:
            say(f"gfnet: skipped {message}", err=True)
        say(f"gfnet: {len(messages)} images could not be read and were left out", err=True)
        sys.exit(1)
