"""``gfnet bench ingest``, ``compare``, ``schedule`` and ``report``: what measured runs are good for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import click

from gfnet.commands.options import OutputFile, choice, json_option, needs_extra, refuse_unless, write_result
from gfnet.console.output import say
from gfnet_benchmark.choices import ReportFormat

_RESULTS = click.argument("results", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RESULT.json...")


@click.command()
@_RESULTS
@click.option(
    "--out",
    "--results",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder to copy them to; in this repository benchmark/results.",
)
@json_option
def ingest(results: tuple[Path, ...], folder: Path, json_path: Path | None) -> None:
    """Check result files and copy them to a folder of results.

    If one of the files is invalid, none is copied.
    """
    from gfnet_benchmark.results.doubts import doubts
    from gfnet_benchmark.results.recording import record

    recorded = record(results, folder)
    for target, result, new in recorded:
        say(f"{target}{'' if new else '  (was there)'}")
        for reason in doubts(result):
            say(f"  not to be relied on: {reason}")
    write_result(
        json_path,
        [{"file": str(target), "new": new, "unreliable": doubts(result)} for target, result, new in recorded],
    )


@click.command()
@_RESULTS
@click.option(
    "--fail-above",
    type=click.FloatRange(min=0, min_open=True),
    metavar="FACTOR",
    help="Compare two results, OLD and NEW: exit code 1 if a latency relative to the baseline grew by more than this "
    "factor, e.g. 1.10.",
)
@json_option
def compare(results: tuple[Path, ...], fail_above: float | None, json_path: Path | None) -> None:
    """Compare results of devices, or find what became slower."""
    from gfnet.errors import DataError
    from gfnet_benchmark.report.formats import read_labelled
    from gfnet_benchmark.report.tables import change_table, comparison_table
    from gfnet_benchmark.results.comparing import changes
    from gfnet_benchmark.results.doubts import doubts

    if fail_above is not None and len(results) != 2:
        raise DataError(f"--fail-above compares two results, OLD and NEW, not {len(results)}")
    labelled = read_labelled(results)
    say(comparison_table(labelled))
    for label, result in labelled:
        for reason in doubts(result):
            say(f"{label} is not to be relied on: {reason}")
    answer: dict[str, Any] = {"results": {label: result.model_dump(mode="json") for label, result in labelled}}
    slower = []
    if fail_above is not None:
        (_, old), (_, new) = labelled
        found = changes(old, new)
        slower = [change for change in found if change.factor > fail_above]
        say("", change_table(found, fail_above))
        answer["changes"] = [
            {"what": one.what, "old": one.old.value, "new": one.new.value, "factor": one.factor} for one in found
        ]
    write_result(json_path, answer)
    if slower:
        worst = max(slower, key=lambda change: change.factor)
        say(f"gfnet: {worst.what} is {worst.factor:.2f} times as slow as before, to its baseline", err=True)
        sys.exit(1)


@click.command()
@click.option(
    "--device",
    "devices",
    multiple=True,
    required=True,
    metavar="RESULT.json[#NAME]",
    help="Measured run on the device, which tells what its steps cost. NAME is one of several networks in the file. "
    "May be given several times for one device.",
)
@click.option(
    "--checkpoint",
    "--bundle",
    "networks",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="CHECKPOINT|BUNDLE",
    help="A network with stored accuracies. May be given several times; the best network is found then.",
)
@click.option(
    "--target-ms",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MS",
    required=True,
    help="Mean latency per image to meet, in milliseconds.",
)
@json_option
def schedule(devices: tuple[str, ...], networks: tuple[Path, ...], target_ms: float, json_path: Path | None) -> None:
    """Find the best thresholds for a mean latency on a device.

    Finds, for each network, the thresholds that are most accurate within the latency, and of several networks the best.
    """
    from gfnet.results.files import read_result, split_source
    from gfnet_benchmark.report.tables import aligned
    from gfnet_benchmark.results.curves import exits_text, thresholds_text
    from gfnet_benchmark.results.doubts import doubts
    from gfnet_benchmark.results.scheduling import best_schedule, open_candidates

    candidates = open_candidates(networks, devices)
    for device in devices:
        for reason in doubts(read_result(split_source(device)[0])):
            say(f"{device} is not to be relied on: {reason}", err=True)
    best, own = best_schedule(candidates, target_ms)
    rows = [("network", "top-1 %", "mean ms", "exits %", "thresholds", "")]
    for candidate, found in zip(candidates, own, strict=True):
        if found is None:
            rows.append((candidate.name, "", f"at least {candidate.cumulative_ms[0]:.3f}", "", "", "too slow"))
        else:
            figures = (f"{found.top1:.2f}", f"{found.mean_ms:.3f}", exits_text(found.exit_distribution))
            rows.append((candidate.name, *figures, thresholds_text(found.thresholds), "best" if found is best else ""))
    say(aligned(rows))
    given = ",".join(f"{max(value, 0):.9g}" for value in best.thresholds[:-1])
    if given:
        never = all(value > 1 for value in best.thresholds[:-1])
        told = "--all-steps" if never else f"--thresholds {given}"
        say("", f"gfnet predict {best.candidate.name} {told} PHOTO")
    write_result(
        json_path,
        {
            "network": best.candidate.name,
            "thresholds": best.thresholds,
            "exit_distribution": best.exit_distribution,
            "mean_ms": best.mean_ms,
            "top1": best.top1,
            "target_ms": target_ms,
        },
    )


@click.command()
@_RESULTS
@click.option("--out", type=OutputFile(), metavar="FILE", required=True, help="File to write.")
@click.option(
    "--format",
    "form",
    type=choice(ReportFormat),
    help="Format of the file; by default what the end of its name says.",
)
@click.option("--curve", is_flag=True, help="Draw accuracy against latency only, as a PNG.")
@click.option(
    "--published/--no-published",
    default=True,
    show_default=True,
    help="Draw the papers' iPhone figure behind the curve.",
)
@click.option(
    "--line",
    "lines",
    multiple=True,
    metavar="NAME[=LABEL]",
    help="With --curve: draw only the curve of this name in the result, or of names that fit this pattern, under this "
    "label. May be given several times.",
)
@json_option
def report(
    results: tuple[Path, ...],
    out: Path,
    form: ReportFormat | None,
    curve: bool,
    lines: tuple[str, ...],
    published: bool,
    json_path: Path | None,
) -> None:
    """Write a report of results as HTML, Markdown, CSV or PNG.

    HTML is one self-contained page.
    """
    needs_extra("report")
    from gfnet.errors import DataError
    from gfnet_benchmark.paper.published import published_behind
    from gfnet_benchmark.report.charts import Line
    from gfnet_benchmark.report.formats import read_labelled, write_curve, write_report

    suffix = out.suffix.removeprefix(".").lower()
    suffix = {"htm": "html"}.get(suffix, suffix)
    form = form or next((known for known in get_args(ReportFormat) if known == suffix), None)
    if form is None:
        raise DataError(f"{out}: unknown format {suffix!r}; name it .html, .md, .csv or .png, or pass --format")
    refuse_unless(form in ("html", "png"), "to .html and .png", "published")
    labelled = read_labelled(results)
    behind = published_behind() if published else ()
    if curve and form != "png":
        raise DataError(f"{out}: --curve draws a PNG; name the file .png")
    refuse_unless(curve, "with --curve", "lines")
    if curve:
        write_curve(out, labelled, behind, [Line.parse(line) for line in lines])
    else:
        write_report(out, labelled, form, behind)
    say(f"wrote {out}")
    write_result(json_path, {"out": str(out), "format": form, "results": [str(path) for path in results]})
