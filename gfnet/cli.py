"""The command line ``gfnet``: its commands by task, and what becomes of errors."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from gfnet.commands.groups import CommandGroup
from gfnet.commands.options import EXTRA
from gfnet.console import output as console
from gfnet.console.notices import notices_on_stderr
from gfnet.console.output import say
from gfnet.errors import GFNetError
from gfnet.extras import missing_package

COMMANDS = {
    "Start": {
        "predict": "gfnet_export.commands.predict",
        "visualize": "gfnet_export.commands.visualize",
        "info": "gfnet.commands.info",
        "demo": "gfnet_benchmark.commands.demo",
    },
    "Data": {
        "prepare": "gfnet.commands.prepare",
        "synth": "gfnet.commands.synth",
        "pack": "gfnet.commands.pack",
    },
    "Train and evaluate": {
        "train": "gfnet.commands.train",
        "evaluate": "gfnet.commands.evaluate",
        "calibrate": "gfnet.commands.calibrate",
        "convert": "gfnet.commands.convert",
    },
    "Export and check": {
        "export": "gfnet_export.commands.export",
        "verify": "gfnet_export.commands.verify",
        "mil": "gfnet_export.commands.mil",
        "mac": "gfnet_export.commands.mac",
    },
    "Measure": {
        "bench": "gfnet_benchmark.commands.bench",
    },
}
"""All commands by task.  Modules are named as text, so that this package imports none of the packages above it."""

_EXPECTED_ERRORS = (GFNetError, OSError)
_READER_LEFT = 128 + signal.SIGPIPE  # where work ended because nobody read it (help, for one); 0 where it was all done
_SECOND_SIGNAL_S = 0.5


class _Main(CommandGroup):
    """The top-level group: errors are one line."""

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
            missing = missing_package(error.name or "", context.meta.get(EXTRA))
            if debug or missing is None:
                raise
            say(f"gfnet: {missing}", err=True)
            context.exit(2)
        except (GFNetError, OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, BrokenPipeError) and console.reader_left():
                context.exit(_READER_LEFT)
            if debug or not (isinstance(error, _EXPECTED_ERRORS) or _is_out_of_memory(error)):
                raise
            if not getattr(error, "said_elsewhere", False):  # of many ranks only one reports it
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
    """Whether memory ran out; torch's error is known by its name, as torch may not be imported here."""
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


@click.group(name="gfnet", cls=_Main, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error, and warnings of libraries.")
@click.version_option(package_name="gfnet")
def main(debug: bool) -> None:
    """Train, export and measure Glance-and-Focus networks (GFNet).

    A GFNet first classifies a small version of the image (the glance), then looks at patches of the full image, and
    stops as soon as it is confident enough. `gfnet predict groceries PHOTO` tries a network that is included.
    """
    # Before torch is imported: its threads would spin while they wait for each other, and beside any other
    # busy process training then takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
        signal.setitimer(signal.ITIMER_REAL, _SECOND_SIGNAL_S)  # some libraries swallow every exception while they load
        sys.exit(128 + signal.SIGTERM)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
