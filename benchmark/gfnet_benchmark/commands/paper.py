"""The command ``gfnet bench paper``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.commands.options import OutputFile, choice, json_option, write_result
from gfnet.console.output import say
from gfnet_benchmark.choices import Figure


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULT.json]...")
@click.option(
    "--figure",
    type=choice(Figure),
    default="mobilenetv3",
    show_default=True,
    help="Figure 5 (a), of MobileNet-V3, or 5 (b), of ResNet.",
)
@click.option("--out", type=OutputFile(), metavar="FILE", help="Draw the figure to FILE, which ends in .png or .svg.")
@json_option
def paper(results: tuple[Path, ...], figure: Figure, out: Path | None, json_path: Path | None) -> None:
    """Compare measured latencies with the papers' figure.

    Shows what the papers' latency figure says about each step, and beside it RESULT.json, measured runs of the released
    networks, as `gfnet bench onnx --json` writes them.
    """
    from gfnet.results.files import read_result
    from gfnet_benchmark.paper.devices import device_curve, devices_from
    from gfnet_benchmark.paper.recovery import count_macs, fit_figure
    from gfnet_benchmark.paper.tables import paper_result, paper_table

    devices = [device for path in results for device in devices_from(read_result(path))]
    fitted = fit_figure(figure, count_macs(figure))
    shown = {fit.piece.network for fit in fitted.pieces}
    # Of a run of many networks, those of another figure are not missed; a run of none of this one's is an error.
    curves = [
        device_curve(fitted, device) for device in devices if len(devices) == 1 or shown & set(device.cumulative_ms)
    ]
    if out is not None:
        from gfnet_benchmark.paper.charts import write_chart

        write_chart(out, fitted, curves)
    say(paper_table(fitted, curves))
    write_result(json_path, paper_result(fitted, curves))
