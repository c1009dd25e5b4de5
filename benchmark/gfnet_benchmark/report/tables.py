"""A measured run as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from gfnet.escaping import Lines, as_lines, one_line
from gfnet.results.schema import Loop, Match, Ratio, Result, Stop, Subject, Timing, cumulative_latency
from gfnet_benchmark.results.comparing import Change, shares_to_beat
from gfnet_benchmark.results.curves import exits_text
from gfnet_benchmark.results.doubts import doubts, measured_over_modelled

_OF = "of the baseline [95 %]"


def result_table(result: Result) -> Lines:
    """Everything that a person wants to know of a run, in sections."""
    sections = [
        _table(step_rows(result), left=2),
        as_lines([aligned(whole_rows(result), left=2), *_gaps(result)]),
        as_lines([_table(match_rows(result), left=2), *match_notes(result)]),
        _table(_break_even(result)),
        _table(_cold(result)),
        _table(_settings(result), left=3),
        _about(result),
    ]
    return as_lines([part for section in sections if section for part in ("", section)][1:])


def change_table(found: Sequence[Change], limit: float) -> Lines:
    """Changes as lines of text; those above ``limit`` are marked."""
    rows = [("ratio to the baseline of the same run", "old", "new", "new / old", "")]
    for change in found:
        mark = "SLOWER" if change.factor > limit else ""
        rows.append((change.what, ratio_text(change.old), ratio_text(change.new), f"{change.factor:.3f}", mark))
    return aligned(rows)


def comparison_table(results: Sequence[tuple[str, Result]]) -> Lines:
    """Devices, units and precisions side by side, a row each."""
    steps = max(len(subject.stops) for _, result in results for subject in result.subjects)
    head = ("result", "subject", "device", "units", "threads", "precision")
    lengths = (f"{step} step{'s' * (step > 1)} ms" for step in range(1, steps + 1))
    rows: list[tuple[str, ...]] = [(*head, *lengths, "own exits ms", "exits %", "of its baseline [95 %]", "")]
    for label, result in results:
        mark = "not to be relied on" if doubts(result) else ""
        for subject in result.subjects:
            network = subject.kind == "network"
            # Of a baseline what ratios are to.
            times = cumulative_latency(subject) if network else (subject.loop.typical_ms,)
            stops = [f"{ms:.3f}" for ms in times]
            rows.append(
                (
                    label,
                    subject.name,
                    result.machine.device,
                    subject.runtime.compute_units,
                    str(subject.runtime.threads or ""),
                    subject.precision,
                    *stops,
                    *[""] * (steps - len(stops)),
                    f"{subject.loop.typical_ms:.3f}" if network else "",
                    exits_text(subject.loop.exit_distribution) if network else "",
                    ratio_text(subject.loop.ratio),
                    mark,
                )
            )
    return aligned(rows, left=len(head))


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> Lines:
    """Rows of cells in columns; the first ``left`` are flush left, the others flush right."""
    rows = [[one_line(cell, None) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return as_lines(lines)


def ratio_text(ratio: Ratio | None) -> str:
    """A ratio with its interval."""
    return "" if ratio is None else f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def _table(rows: Sequence[tuple[str, ...]], *, left: int = 1) -> Lines:
    return aligned(rows, left=left) if len(rows) > 1 else Lines()


def step_rows(result: Result) -> list[tuple[str, ...]]:
    """Every subgraph's calls, a row each below the headings."""
    rows: list[tuple[str, ...]] = [("subgraph calls, ms", "", "median", "p90", "p99", _OF, "load", "first run", "MB")]
    for subject in result.networks:
        for graph in subject.subgraphs:
            steady = graph.steady
            rows.append(
                (
                    subject.name,
                    graph.name,
                    *(f"{value:.3f}" for value in (steady.median_ms, steady.p90_ms, steady.p99_ms)),
                    ratio_text(graph.ratio),
                    "" if graph.load_ms is None else f"{graph.load_ms:.1f}",
                    "" if graph.first_run_ms is None else f"{graph.first_run_ms:.2f}",
                    "" if graph.memory_bytes is None else f"{graph.memory_bytes / 1e6:.0f}",
                )
            )
    return rows


def whole_rows(result: Result) -> list[tuple[str, ...]]:
    """Whole images, stopped after each step or with their own exits, a row each below the headings."""
    rows: list[tuple[str, ...]] = [("whole images, ms", "", "typical", "median", "p90", "p99", _OF, "top-1 %")]
    for subject in result.subjects:
        if subject.kind == "network":
            for stop in subject.stops:
                latency = stop.latency
                rows.append(_row(subject.name, f"all stop after step {stop.step}", stop.typical_ms, latency, stop))
        loop = subject.loop
        what = "full image" if subject.kind == "classifier" else f"exits {exits_text(loop.exit_distribution)} %"
        if subject.kind == "network" and loop.thresholds is None:
            what = "all steps: no thresholds"
        rows.append(_row(subject.name, what, loop.typical_ms, loop.latency, loop))
    return rows


def match_rows(result: Result) -> list[tuple[str, ...]]:
    """Networks where they are as accurate as a classifier, a row each below the headings."""
    rows: list[tuple[str, ...]] = [("as accurate as a classifier", "", "top-1 %", "typical ms", "of its time [95 %]")]
    for subject in result.networks:
        for match in subject.matches:
            figures = _match(match) or ("", "does not reach this accuracy")
            rows.append((subject.name, match.classifier, f"{match.top1:.1f}", *figures))
    return rows


def match_notes(result: Result) -> tuple[str, ...]:
    """What the words in :func:`match_rows` mean, where they occur."""
    matches = [match for subject in result.networks for match in subject.matches]
    if any(match.ratio is not None and None in (match.low, match.high) for match in matches):
        return ("to open: in some resamples of the images the network does not reach this accuracy",)
    return ()


def _match(match: Match) -> tuple[str, str] | None:
    if match.typical_ms is None or match.ratio is None:
        return None
    low = "" if match.low is None else f"{match.low:.3f}"
    interval = f"{low} to open".lstrip() if match.high is None else f"{low}, {match.high:.3f}"
    return f"{match.typical_ms:.3f}", f"{match.ratio:.3f} [{interval}]"


def _gaps(result: Result) -> list[str]:
    return [
        f"{subject.name}: mean latency {subject.loop.typical_ms:.3f} ms measured, "
        f"{subject.loop.modelled_ms:.3f} ms modelled from steps and exits "
        f"({100 * (measured_over_modelled(subject) - 1):+.1f} %)"
        for subject in result.networks
        if subject.loop.thresholds is not None
    ]


def _row(name: str, what: str, typical_ms: float, latency: Timing, measured: Stop | Loop) -> tuple[str, ...]:
    return (
        name,
        what,
        f"{typical_ms:.3f}",
        *(f"{value:.3f}" for value in (latency.median_ms, latency.p90_ms, latency.p99_ms)),
        ratio_text(measured.ratio),
        "" if measured.top1 is None else f"{measured.top1:.1f}",
    )


def _break_even(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("to beat the baseline, the others running all steps", "")]
    for subject in result.networks:
        for step, share in enumerate(shares_to_beat(result, subject), start=1):
            told = "it takes longer by itself" if share is None else f"{100 * share:.0f} % must stop there"
            rows.append((f"{subject.name}, step {step}", told))
    return rows


def _cold(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("first image of a new process, ms", "start", "imports", "load", "first image", "peak MB", "files MB")
    ]
    for subject in result.subjects:
        cold = subject.cold
        if cold is not None:
            rows.append(
                (
                    subject.name,
                    *("" if v is None else f"{v:.0f}" for v in (cold.process_ms, cold.import_ms, cold.load_ms)),
                    f"{cold.first_image_ms:.2f}",
                    "" if cold.peak_bytes is None else f"{cold.peak_bytes / 1e6:.0f}",
                    "" if subject.bytes is None else f"{subject.bytes / 1e6:.1f}",
                )
            )
    return rows


def _settings(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("settings tried, ms for all steps", "", "")]
    for subject in result.subjects:
        for tried in subject.tried:
            chosen = "taken" if tried.settings.items() <= subject.runtime.settings.items() else ""
            rows.append((subject.name, settings_text(tried.settings), f"{tried.typical_ms:.3f} {chosen}"))
    return rows


def settings_text(settings: dict[str, str]) -> str:
    """Settings as ``name value`` pairs."""
    return ", ".join(f"{name} {value}" for name, value in sorted(settings.items()))


def machine_text(result: Result) -> str:
    """The machine in one line."""
    machine, conditions = result.machine, result.conditions
    named = machine.processor and machine.processor in machine.device
    parts = [machine.device, None if named else machine.processor, machine.os]
    if machine.cores and not named:
        parts.append(f"{machine.cores} cores")
    if machine.memory_bytes:
        parts.append(f"{machine.memory_bytes / 2**30:.0f} GiB")
    if machine.governor:
        parts.append(f"governor {machine.governor}")
    if conditions.load_before is not None:
        parts.append(f"load {conditions.load_before:.2f} before")
    if conditions.others_cores is not None:
        parts.append(f"others kept {conditions.others_cores:.2f} cores busy")
    return ", ".join(part for part in parts if part)


def runtime_text(subject: Subject) -> str:
    """What ran a subject, in one line."""
    runtime = subject.runtime
    threads = f", {runtime.threads} thread{'s' * (runtime.threads > 1)}" if runtime.threads else ""
    settings = f" ({settings_text(runtime.settings)})" if runtime.settings else ""
    return f"{runtime.name} {runtime.version}, {runtime.compute_units}{threads}{settings}"


def _about(result: Result) -> Lines:
    lines = [machine_text(result), *dict.fromkeys(runtime_text(subject) for subject in result.subjects)]
    lines.append(
        f"{result.images} images, {result.rounds} rounds after {result.warmup_rounds} of warm-up, interleaved, "
        f"{result.processes} process{'es' * (result.processes > 1)}, "
        f"in {result.conditions.seconds:.0f} s"
        + ("" if result.harness_us is None else f"; measuring adds {result.harness_us:.2f} us to a call")
    )
    lines += [f"not to be relied on: {reason}" for reason in doubts(result)]
    return as_lines(lines)


def repeat_text(result: Result) -> str:
    """How to repeat the measurement."""
    return result.command or f"{result.tool} on {result.machine.device}: see ios_demo/README.md"
