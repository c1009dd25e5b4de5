"""The commands ``gfnet mac plan`` and ``gfnet mac compile``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gfnet.commands.options import OutputFolder, choice, json_option, overwrite_option, write_result
from gfnet.console.output import say
from gfnet.escaping import Lines, as_lines
from gfnet_export.choices import ComputeUnits

if TYPE_CHECKING:  # imported when a command runs: `gfnet --help` stays fast
    from gfnet_export.coreml.macos import DeviceShare, PlannedOperation

_package = click.argument("package", type=click.Path(path_type=Path), metavar="MODEL.mlpackage")


@click.group()
def mac() -> None:
    """Compile Core ML packages and see what runs them, on a Mac.

    These commands ask Core ML itself, so they need macOS.
    """


@mac.command()
@_package
@click.option(
    "--units",
    type=choice(ComputeUnits),
    default="all",
    show_default=True,
    help="Processors that Core ML may use; ne is the Neural Engine.",
)
@click.option("--function", metavar="NAME", help="Function of the package to look at; its default one otherwise.")
@json_option
def plan(package: Path, units: ComputeUnits, function: str | None, json_path: Path | None) -> None:
    """List the processor on which Core ML would run each operation.

    Below the list stands how much of the work each processor gets.
    """
    import dataclasses

    from gfnet_export.coreml.macos import compute_plan, shares_by_device

    operations = compute_plan(package, function, units)
    shares = shares_by_device(operations)
    say(plan_table(operations, shares))
    write_result(
        json_path,
        {
            "package": str(package),
            "units": units,
            "devices": [dataclasses.asdict(share) for share in shares],
            "operations": [dataclasses.asdict(operation) for operation in operations],
        },
    )


@mac.command(name="compile")
@_package
@click.option("--out", type=OutputFolder(), required=True, metavar="DIR.mlmodelc", help="Folder to write.")
@overwrite_option
@json_option
def compile_(package: Path, out: Path, overwrite: bool, json_path: Path | None) -> None:
    """Compile a package to the .mlmodelc folder that devices load."""
    from gfnet_export.coreml.macos import compile_package

    compiled = compile_package(package, out, overwrite=overwrite)
    size = sum(file.stat().st_size for file in compiled.rglob("*") if file.is_file())
    say(f"{compiled}  {size / 1e6:.2f} MB")
    write_result(json_path, {"package": str(package), "compiled": str(compiled), "bytes": size})


def plan_table(operations: Sequence[PlannedOperation], shares: Sequence[DeviceShare]) -> Lines:
    """A line for each operation, then one for each device."""
    width = max((len(operation.type) for operation in operations), default=0)
    lines = [f"{'operation':<{max(width, 9)}}    cost  device         could also run on"]
    for operation in operations:
        others = ", ".join(name for name in operation.supported if name != operation.device)
        line = f"{operation.type:<{max(width, 9)}}  {_percent(operation.cost):>6}  {operation.device or 'unknown':<13}"
        lines.append(f"{line}  {others}".rstrip())
    lines.append("")
    for share in shares:
        lines.append(
            f"{share.device or 'unknown':<13}  {share.operations:>4} operations, {_percent(share.operation_share)} of "
            f"them, {_percent(share.cost_share)} of the cost"
        )
    return as_lines(lines)


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.1%}"
