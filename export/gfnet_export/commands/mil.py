"""The commands ``gfnet mil run``, ``ops`` and ``lint``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gfnet.commands.options import choice, examples, json_option, needs_extra, write_result
from gfnet.console.output import say
from gfnet_export.choices import Rounding

if TYPE_CHECKING:
    from gfnet_export.mil.models import OtherModel

_package = click.argument("package", type=click.Path(path_type=Path), metavar="MODEL.mlpackage")
_OUTPUTS = "set of outputs"
_function = click.option(
    "--function", metavar="NAME", help="Function of the package to use; its default one otherwise."
)


@click.group()
def mil() -> None:
    """Inspect, check and run Core ML packages without a Mac.

    MODEL.mlpackage is a package of any origin that holds an ML program (in MIL, Core ML's intermediate language).
    """
    needs_extra("coreml")


@mil.command(epilog=examples("gfnet mil run net.mlpackage --input image=image.npy --out outputs"))
@_package
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=FILE.npy",
    help="Array for an input of the package; give one for each input.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write each output as DIR/NAME.npy.")
@click.option(
    "--rounding",
    type=choice(Rounding),
    default="declared",
    show_default=True,
    help="Round results to float16 where the program says so, or never.",
)
@_function
@json_option
def run(
    package: Path,
    inputs: tuple[str, ...],
    out: Path | None,
    rounding: Rounding,
    function: str | None,
    json_path: Path | None,
) -> None:
    """Run a package on arrays and summarise its outputs.

    A warning names the first operation whose result leaves the range of float16, if there is one.
    """
    import numpy as np

    from gfnet.errors import MilError
    from gfnet.files.replacing import check_files, record_files
    from gfnet.files.writing import atomic_file
    from gfnet_export.mil.interpreter import Interpreter
    from gfnet_export.mil.package import read_package

    arrays = {}
    for given in inputs:
        name, sign, file = given.partition("=")
        if not sign:
            raise click.UsageError(f"--input {given!r}: write NAME=FILE.npy")
        try:
            arrays[name] = np.load(file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise MilError(f"{file}: is not an array of numbers ({error}); save it with numpy.save") from error
    program = read_package(package).function(function)
    for name in program.pictures & arrays.keys():
        pixels = arrays[name]
        if pixels.dtype.kind not in "fiu" or not ((pixels == np.rint(pixels)) & (pixels >= 0) & (pixels <= 255)).all():
            raise MilError(f"input {name!r} is an 8-bit image; give it whole numbers from 0 to 255")
    files = {name: f"{name}.npy" for name in program.outputs}
    if out is not None:
        check_files(out, files.values(), _OUTPUTS, [Path(given.partition("=")[2]) for given in inputs])
    interpreter = Interpreter(program, rounding=rounding)
    outputs = interpreter(arrays)
    if interpreter.overflow is not None:
        say(f"warning: {interpreter.overflow}", err=True)
    if out is not None:
        record_files(out, files.values(), _OUTPUTS)
    summary = {}
    for name, value in outputs.items():
        found = {key: float(getattr(value, key)()) for key in ("min", "max", "mean")} if value.size else {}
        # JSON has no infinity.
        summary[name] = {
            "shape": list(value.shape),
            **{key: number if math.isfinite(number) else None for key, number in found.items()},
        }
        shown = "from {min:.6g} to {max:.6g}, mean {mean:.6g}".format(**found) if found else "empty"
        say(f"{name}  {list(value.shape)}  {shown}")
        if out is not None:
            with atomic_file(out / files[name]) as temporary:
                np.save(temporary, value)
    write_result(json_path, summary)


def _list_known(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print the operations that run here, and end."""
    if wanted:
        from gfnet_export.mil.ops import OPS

        say(*sorted(OPS))
        context.exit()


@mil.command()
@_package
@_function
@click.option(
    "--known",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_known,
    help="List the operations that `gfnet mil run` supports, and stop.",
)
@json_option
def ops(package: Path, function: str | None, json_path: Path | None) -> None:
    """Count a package's operations, and say whether it can run here.

    Shown are the types and shapes of the results, the bytes of parameters, and every reason for which `gfnet mil run`
    cannot run it.
    """
    import dataclasses

    from gfnet_export.mil.interpreter import obstacles_of
    from gfnet_export.mil.lint import count_operations
    from gfnet_export.mil.models import OtherModelError
    from gfnet_export.mil.package import read_package

    try:
        opened = read_package(package)
    except OtherModelError as error:
        if function is not None or not (error.model.layers or error.model.stages):
            raise
        _show_model(error.model)
        say("`gfnet mil run` cannot run it: it is not an ML program")
        write_result(json_path, dataclasses.asdict(error.model))
        return
    chosen = opened.function(function)
    rows = count_operations(chosen)
    say(
        f"function {chosen.name} of {', '.join(opened.functions)}, {chosen.opset}, "
        f"specification {opened.specification_version}"
    )
    say("operation              count  parameters  results")
    for row in rows:
        shown = ", ".join(row.shapes[:3]) + (f" and {len(row.shapes) - 3} more" if len(row.shapes) > 3 else "")
        size = f"{row.parameter_bytes / 1e6:.2f} MB" if row.parameter_bytes else ""
        say(f"{row.type:<22} {row.count:>5}  {size:>10}  {'/'.join(row.dtypes)} {shown}")
    for obstacle in obstacles_of(chosen):
        say(f"`gfnet mil run` cannot run it: {obstacle}")
    write_result(json_path, [dataclasses.asdict(row) for row in rows])


def _show_model(model: OtherModel, indent: str = "") -> None:
    """Print what a model is, and the stages of a pipeline below it."""
    say(f"{indent}{model.words}")
    for kind, count in model.layers.items():
        say(f"{indent}{kind:<22} {count:>5}")
    for stage in model.stages:
        _show_model(stage, indent + "  ")


@mil.command()
@_package
@_function
@json_option
def lint(package: Path, function: str | None, json_path: Path | None) -> None:
    """List what would keep a package off the Neural Engine.

    Exit code 1 if something is found.
    """
    import dataclasses
    import sys

    from gfnet_export.mil.interpreter import obstacles_of
    from gfnet_export.mil.lint import lint as find
    from gfnet_export.mil.package import read_package

    chosen = read_package(package).function(function)
    findings = find(chosen)
    for finding in findings:
        say(f"{finding.rule}: {finding.operation}: {finding.reason}")
    for obstacle in obstacles_of(chosen):
        say(f"note: `gfnet mil run` cannot run it: {obstacle}", err=True)
    write_result(json_path, [dataclasses.asdict(finding) for finding in findings])
    if findings:
        sys.exit(1)
    say("nothing that is known to keep it off the Neural Engine")
