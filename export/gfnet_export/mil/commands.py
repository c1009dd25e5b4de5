"""The commands ``gfnet mil run``, ``ops`` and ``lint``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.cli import json_option, needs_extra, write_result
from gfnet.console import say

_package = click.argument("package", type=click.Path(path_type=Path), metavar="MODEL.mlpackage")
_function = click.option("--function", help="Of a package with several; its default one otherwise.")


@click.group()
def mil() -> None:
    """Look into Core ML packages, and run them without a Mac."""
    needs_extra("coreml")


@mil.command()
@_package
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="One for each input.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write each output as DIR/NAME.npy.")
@click.option(
    "--rounding",
    type=click.Choice(["declared", "none"]),
    default="declared",
    show_default=True,
    help="Round to float16 where the program says so, or never.",
)
@_function
@json_option
def run(
    package: Path, inputs: tuple[str, ...], out: Path | None, rounding, function: str | None, json_path: Path | None
) -> None:
    """Run a package on arrays, and say what comes out."""
    import numpy as np

    from gfnet.errors import MilError
    from gfnet.files import atomic_file
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
            raise MilError(f"{file}: no array of numbers ({error}); save it with numpy.save") from error
    program = read_package(package).function(function)
    for name in program.pictures & arrays.keys():
        pixels = arrays[name]
        if pixels.dtype.kind not in "fiu" or not ((pixels == np.rint(pixels)) & (pixels >= 0) & (pixels <= 255)).all():
            raise MilError(f"input {name!r} is a picture of 8 bits a channel; give it whole numbers in 0 .. 255")
    outputs = Interpreter(program, rounding=rounding)(arrays)
    summary = {}
    for name, value in outputs.items():
        summary[name] = {
            "shape": list(value.shape),
            **{key: float(getattr(value, key)()) for key in ("min", "max", "mean")},
        }
        say(f"{name}  {list(value.shape)}  from {value.min():.6g} to {value.max():.6g}, mean {value.mean():.6g}")
        if out is not None:
            with atomic_file(out / f"{name}.npy") as temporary:
                np.save(temporary, value)
    write_result(json_path, summary)


@mil.command()
@_package
@_function
@json_option
def ops(package: Path, function: str | None, json_path: Path | None) -> None:
    """Count a package's operations: types, shapes, bytes of parameters."""
    import dataclasses

    from gfnet_export.mil.lint import count_operations
    from gfnet_export.mil.package import read_package

    opened = read_package(package)
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
    write_result(json_path, [dataclasses.asdict(row) for row in rows])


@mil.command()
@_package
@_function
@json_option
def lint(package: Path, function: str | None, json_path: Path | None) -> None:
    """List what is known to keep a package off the Neural Engine; exit code 1 if there is anything."""
    import dataclasses
    import sys

    from gfnet_export.mil.lint import lint as find
    from gfnet_export.mil.package import read_package

    findings = find(read_package(package).function(function))
    for finding in findings:
        say(f"{finding.rule}: {finding.operation}: {finding.reason}")
    write_result(json_path, [dataclasses.asdict(finding) for finding in findings])
    if findings:
        sys.exit(1)
    say("nothing that is known to keep it off the Neural Engine")
