"""Measured runs as a page, as Markdown, as CSV or as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from gfnet.errors import DataError
from gfnet.escaping import csv_text, markdown, one_line
from gfnet.files.writing import write_bytes, write_text
from gfnet.results.files import read_result
from gfnet.results.schema import Result
from gfnet_benchmark.choices import ReportFormat
from gfnet_benchmark.paper.published import Behind
from gfnet_benchmark.report.charts import (
    Line,
    accuracy_latency,
    curve_picture,
    exits_over_latency,
    is_relative,
    picture,
    step_latencies,
)
from gfnet_benchmark.report.tables import (
    machine_text,
    match_notes,
    match_rows,
    repeat_text,
    runtime_text,
    step_rows,
    whole_rows,
)
from gfnet_benchmark.results.comparing import agreements, shares_to_beat
from gfnet_benchmark.results.doubts import doubts, measured_over_modelled


def read_labelled(paths: Sequence[Path]) -> list[tuple[str, Result]]:
    """Results with labels: the files' names, and as much before them as sets them apart.

    Raises:
        DataError: a file is given twice, or is not a result.
    """
    whole = [path.resolve() for path in paths]
    for path in whole:
        if whole.count(path) > 1:
            raise DataError(f"{path}: given twice; give each result once")
    stems = [path.stem for path in whole]
    labels = [path.stem if stems.count(path.stem) == 1 else "/".join((*path.parts[-2:-1], path.stem)) for path in whole]
    if len(set(labels)) < len(labels):
        labels = [str(path) for path in paths]
    return [(label, read_result(path)) for label, path in zip(labels, paths, strict=True)]


def write_report(
    path: Path, results: Sequence[tuple[str, Result]], form: ReportFormat, published: Sequence[Behind] = ()
) -> None:
    """Write a report of one or several results, whole or not at all.

    Args:
        results: labels and results.
        form: ``html``: a page that needs no network and no other file.
        published: drawn behind accuracy and latency.
    """
    if form == "png":
        write_bytes(path, picture(results, published))
    elif form == "csv":
        write_text(path, _csv(results))
    elif form == "md":
        write_text(path, _markdown(results))
    else:
        write_text(path, _page(results, published))


def write_curve(
    path: Path,
    results: Sequence[tuple[str, Result]],
    published: Sequence[Behind] = (),
    lines: Sequence[Line] = (),
) -> None:
    """Write accuracy against latency alone as a PNG.

    Args:
        lines: what is drawn; see :func:`gfnet_benchmark.report.charts.curve_picture`.

    Raises:
        DataError: no accuracy is known, or a line is of nothing that was measured.
    """
    drawn = curve_picture(results, published, lines)
    if drawn is None:
        raise DataError(f"{path}: has no stored accuracies to draw; run `gfnet evaluate --save` before the measurement")
    write_bytes(path, drawn)


def render(template: str, **values: Any) -> str:
    """A page of ``templates/`` with values put in; it needs no network and no other file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gfnet_benchmark"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["mega"] = lambda value: f"{value / 1e6:.1f} M"
    environment.filters["megabytes"] = lambda value: f"{value / 1e6:.2f} MB"
    # Inside of a script element nothing ends it but this sequence.
    environment.filters["safe_json"] = lambda text: Markup(text.replace("<", "\\u003c"))
    environment.filters["ms"] = lambda value: f"{value:.3f}"
    page = environment.get_template(template).render(**values)
    return page.encode("utf-8", "backslashreplace").decode("utf-8")  # names of files need not be UTF-8


def _page(results: Sequence[tuple[str, Result]], published: Sequence[Behind]) -> str:
    several = len(results) > 1
    joint = accuracy_latency(results, "all", published) if several else None
    parts = []
    for number, (label, result) in enumerate(results):
        parts.append(
            {
                "label": label,
                "result": result,
                "doubts": doubts(result),
                "machine": machine_text(result),
                "runtimes": list(dict.fromkeys(runtime_text(subject) for subject in result.subjects)),
                "curve": accuracy_latency([(label, result)], f"curve{number}", published),
                "relative": is_relative([(label, result)]),
                "steps": step_latencies(result, f"steps{number}"),
                "exits": [
                    (subject, exits_over_latency(subject, f"exits{number}-{index}"))
                    for index, subject in enumerate(result.networks)
                ],
                "break_even": [(subject, shares_to_beat(result, subject)) for subject in result.networks],
                "gaps": [(subject, measured_over_modelled(subject)) for subject in result.networks],
                "matches": match_rows(result),
                "match_notes": match_notes(result),
                "repeat": repeat_text(result),
                "json": result.model_dump_json(),
            }
        )
    return render(
        "report.html",
        parts=parts,
        joint=joint,
        relative=is_relative(results),
        agreements=agreements(results),
        behind=bool(published),
    )


def _markdown(results: Sequence[tuple[str, Result]]) -> str:
    lines = []
    for label, result in results:
        lines += [f"## {markdown(label)}", ""]
        for rows in (step_rows(result), whole_rows(result), match_rows(result)):
            if len(rows) > 1:
                rule = tuple("---" if index < 2 else "---:" for index in range(len(rows[0])))
                cells = [[markdown(cell) for cell in row] for row in rows]
                lines += ["| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:])] + [""]
        lines += [line for note in match_notes(result) for line in (markdown(note), "")]
        about = f"{machine_text(result)}. {result.images} images, {result.rounds} rounds, {result.created}."
        lines += [markdown(about), ""]
        lines += [f"**Not to be relied on:** {markdown(reason)}.  " for reason in doubts(result)]
        # Indented: no text of one line ends such a block.
        lines += ["", f"    {one_line(repeat_text(result), None)}", ""]
    agreed = agreements(results)
    if agreed:
        lines += [
            "## Agreement",
            "",
            "| | | images | same label % | same exit % |",
            "| --- | --- | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {markdown(one.first)} | {markdown(one.second)} | {one.images} | {one.same_label:.1f} | "
            + ("other thresholds |" if one.same_exit is None else f"{one.same_exit:.1f} |")
            for one in agreed
        ]
    return "\n".join(lines).rstrip() + "\n"


_COLUMNS = (
    "result", "device", "subject", "network", "precision", "layout", "runtime", "compute_units", "threads", "measured",
    "count", "typical_ms", "mean_ms", "median_ms", "p90_ms", "p99_ms", "ratio", "ratio_low", "ratio_high", "top1",
    "reliable",
)  # fmt: skip


def _csv(results: Sequence[tuple[str, Result]]) -> str:
    """A row for everything that was timed."""
    rows = []
    for label, result in results:
        for subject in result.subjects:
            about = {
                "result": label,
                "device": result.machine.device,
                "subject": subject.name,
                "network": subject.network,
                "precision": subject.precision,
                "layout": subject.layout,
                "runtime": f"{subject.runtime.name} {subject.runtime.version}",
                "compute_units": subject.runtime.compute_units,
                "threads": subject.runtime.threads or "",
                "reliable": "no" if doubts(result) else "yes",
            }
            loop = subject.loop
            measured = [
                *((f"subgraph {graph.name}", graph.steady, graph.ratio, None, None) for graph in subject.subgraphs),
                *(
                    (f"stop {stop.step}", stop.latency, stop.ratio, stop.typical_ms, stop.top1)
                    for stop in subject.stops
                ),
                ("loop", loop.latency, loop.ratio, loop.typical_ms, loop.top1),
            ]
            for what, timing, ratio, typical_ms, top1 in measured:
                row = {**about, "measured": what, **timing.model_dump(exclude={"samples_ms"})}
                if ratio is not None:
                    row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
                if typical_ms is not None:
                    row["typical_ms"] = typical_ms
                if top1 is not None:
                    row["top1"] = top1
                rows.append([row.get(name) for name in _COLUMNS])
    return csv_text(_COLUMNS, rows)
