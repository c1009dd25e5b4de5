"""The command line: ``gfnet`` and the commands of the core.

Other packages add theirs through the entry-point group ``gfnet.commands``.  Modules that define commands
import nothing heavy before a command runs, so ``gfnet --help`` stays fast.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from gfnet.console import output as console
from gfnet.console.notices import notices_on_stderr
from gfnet.console.output import say
from gfnet.errors import ConfigError, GFNetError
from gfnet.extras import missing_package
from gfnet.files.replacing import check_output_file, refuse_holding
from gfnet.files.writing import check_writable, json_text, write_text

COMMAND_GROUP = "gfnet.commands"
_OWN_COMMANDS = (
    "calibrate",
    "convert",
    "evaluate",
    "info",
    "pack",
    "prepare",
    "synth",
    "train",
)  # a module each in gfnet.commands

_MENDABLE = (GFNetError, OSError)
_READER_LEFT = 128 + signal.SIGPIPE  # where work ended because nobody read it (help, for one); 0 where it was all done
_EXTRA = "gfnet.extra"  # in a context's meta, which all commands of an invocation share


class _Group(click.Group):
    """The top-level group: commands from entry points, errors in one line."""

    def list_commands(self, context: click.Context) -> list[str]:
        registered = (entry.name for entry in entry_points(group=COMMAND_GROUP))
        return sorted({*super().list_commands(context), *_OWN_COMMANDS, *registered})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        own = super().get_command(context, name)
        if own is not None:
            return own
        if name in _OWN_COMMANDS:
            return getattr(import_module(f"gfnet.commands.{name}"), name)
        for entry in entry_points(group=COMMAND_GROUP, name=name):
            return entry.load()
        return None

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError:  # of the help, which click itself prints
            console.reader_left()
            raise click.exceptions.Exit(_READER_LEFT) from None

    def invoke(self, context: click.Context) -> Any:
        debug = context.params.get("debug", False)
        try:
            with console.warnings_hushed(debug), _stopped_by_sigterm(), notices_on_stderr():
                return super().invoke(context)
        except ModuleNotFoundError as error:
            missing = missing_package(error.name or "", context.meta.get(_EXTRA))
            if debug or missing is None:
                raise
            say(f"gfnet: {missing}", err=True)
            context.exit(2)
        except (GFNetError, OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, BrokenPipeError) and console.reader_left():
                context.exit(_READER_LEFT)
            if debug or not (isinstance(error, _MENDABLE) or _is_out_of_memory(error)):
                raise
            if not getattr(error, "said_elsewhere", False):  # of many ranks one speaks
                say(f"gfnet: {_one_line(error)}", err=True)
            context.exit(2)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Like click's, but a wrong option is one line too."""
        run: Any = super().main
        console.start()
        try:
            code = run(*args, **{**extra, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "gfnet"
            say(f"gfnet: {_one_line(error)} (see `{command} --help`)", err=True)
            sys.exit(2)
        except click.Abort:
            say("gfnet: interrupted", err=True)
            sys.exit(130)
        finally:
            console.finish()
        sys.exit(code if isinstance(code, int) else 0)


def _is_out_of_memory(error: BaseException) -> bool:
    """Also torch's own way to say so, which is known by name as torch may not be imported here."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; check the path, its permissions and the free space"
    if isinstance(error, click.UsageError):
        return " ".join(error.format_message().split())
    if _is_out_of_memory(error):
        return "out of memory; use a smaller --batch-size or image, or train with --accumulate"
    return str(error).strip()


@click.group(name="gfnet", cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
@click.version_option(package_name="gfnet")
def main(debug: bool) -> None:
    """Glance-and-Focus networks: train them, export them for a phone, measure what each step costs."""
    # Before torch is imported: its threads would spin while they wait for each other, and beside any other
    # busy process training then takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class OutputFile(click.Path):
    """The type of an option that names a file to write."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


class OutputFolder(click.Path):
    """The type of an option that names a folder which is written, and replaced, as a whole."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json FILE``, the same on every command; what the command writes is checked before it begins.

    With ``--json -`` the result goes to standard output, and everything else that is said to standard error.
    """

    @functools.wraps(command)
    def checked(*args: Any, **given: Any) -> Any:
        context = click.get_current_context()
        _check_outputs(context)
        if given["json_path"] != _STANDARD_OUTPUT:
            return command(*args, **given)
        context.meta[_JSON_STREAM] = sys.stdout
        with redirect_stdout(sys.stderr):
            return command(*args, **given)

    option = click.option(
        "--json", "json_path", type=OutputFile(), metavar="FILE", help="Write the result as JSON to FILE; - for stdout."
    )
    return option(checked)


_STANDARD_OUTPUT = Path("-")
_ONCE_MORE_S = 0.5
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
            raise ConfigError(f"{file}: is to hold two different things; give each a file")
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
    help="How classes map where those of data and network differ. by-name: to the network's of the same name; "
    'by-number: to those of the same number; FILE: {"the data\'s name": "the network\'s"}.',
)
"""``--classes``, the same on every command that pairs data with a network; :mod:`gfnet.data.classes` follows it."""


def official_options(command):
    """Options that complete an official trainer's checkpoint, which does not say what it is."""
    for option in (
        click.option("--steps", type=int, help="T, for an official checkpoint that does not say."),
        click.option("--patch-size", type=int, help="Patch size, for an official checkpoint that does not say."),
        click.option("--arch", help="Backbone, for an official checkpoint that does not say."),
    ):
        command = option(command)
    return command


def threshold_options(command):
    """Options that say when images may stop; resolved by :func:`gfnet.inference.exits.resolve_thresholds`."""
    for option in (
        click.option("--budget", help="Average multiply-adds per image, e.g. 60M; thresholds come with the network."),
        click.option("--thresholds", help="Exit thresholds of steps 1 .. T-1, e.g. 0.8,0.7."),
        click.option("--all-steps", is_flag=True, help="Run every step, whatever the confidence."),
    ):
        command = option(command)
    return command


def needs_extra(extra: str) -> None:
    """Say which extra this command is a part of, for the user who lacks a package of it."""
    click.get_current_context().meta[_EXTRA] = extra


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


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Within, SIGTERM is an exception, so that what is half written is removed."""
    # Under torchrun it ends a rank at once as it always did: one that waits for the others would not notice.
    in_main_thread = threading.current_thread() is threading.main_thread()
    if os.name != "posix" or not in_main_thread or "TORCHELASTIC_RUN_ID" in os.environ:
        yield
        return
    process = os.getpid()

    def stop(number: int, _frame: Any) -> None:
        if os.getpid() != process:  # a forked one, which writes nothing and has nothing to say
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if isinstance(sys.exc_info()[1], SystemExit):  # clearing up already
            return
        if number == signal.SIGTERM:
            # Not to sys.stderr, which is turned away while a converter runs.
            click.echo("gfnet: stopped by SIGTERM; nothing half-written is left", file=sys.__stderr__)
        signal.setitimer(signal.ITIMER_REAL, _ONCE_MORE_S)  # some libraries swallow every exception while they load
        sys.exit(128 + signal.SIGTERM)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)


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
