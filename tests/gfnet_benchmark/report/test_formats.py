from __future__ import annotations

import csv
import html
import io
import json
import re

import pytest
from PIL import Image

from gfnet.results.files import read_result, write_result_file
from gfnet.results.schema import Conditions, Timing
from gfnet_benchmark.paper.published import published_behind
from gfnet_benchmark.report.charts import Line, _chosen
from gfnet_benchmark.report.formats import write_report
from gfnet_benchmark.results.curves import curves_of
from network_support import gfnet, one_line
from page_support import Page, browse, overflow
from result_support import classifier, loop, network, result


def spread(ms, count=40):
    """Times with samples."""
    samples = tuple(round(ms * (0.9 + 0.2 * i / (count - 1)), 4) for i in range(count))
    return Timing(count=count, mean_ms=ms, median_ms=ms, p90_ms=1.08 * ms, p99_ms=1.098 * ms, samples_ms=samples)


SAMPLED = network()
SAMPLED = SAMPLED.model_copy(update={"loop": SAMPLED.loop.model_copy(update={"latency": spread(3.75)})})
HERE = result(
    SAMPLED,
    network("int8", lengths=(1.5, 3.0, 4.5), precision="int8"),
    classifier(),
    command="gfnet bench onnx a b --images photos --json RESULT.json",
)
PHONE = result(
    network("phone", lengths=(4.2, 8.5, 13.0), baseline_ms=16.3, cold=None),
    classifier(ms=16.3),
    tool="GFNetKit 0.1.0",
    conditions=Conditions(seconds=60, thermal_states=("nominal", "fair", "serious", "serious")),
    harness_us=None,
)


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "here.json", tmp_path / "phone.json"
    for path, one in zip(paths, (HERE, PHONE), strict=True):
        write_result_file(path, one)
    return paths


@pytest.fixture
def page(files, tmp_path):
    out = tmp_path / "report.html"
    assert gfnet("bench", "report", *files, "--out", out).exit_code == 0
    return out


def test_the_page_stands_alone_and_its_tags_match(page):
    found = Page()
    found.feed(page.read_text())
    assert found.open == []
    assert all(link.startswith("#") for link in found.links)
    identifiers = re.findall(r'\bid="([^"]+)"', page.read_text())
    assert len(identifiers) == len(set(identifiers))
    references = set(re.findall(r'(?:url\(#|href="#)([^")]+)', page.read_text()))
    assert references <= set(identifiers)


@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it_without_complaint(page, dark):
    document, console = browse(page, dark=dark)
    assert console == []
    assert "What each step costs" in document
    assert document.count("<svg") >= 6


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_runs_off_a_phone_s_screen(page, dark):
    assert overflow(page, dark=dark) == 0


def test_its_numbers_are_those_of_the_json(page, files):
    document, _ = browse(page)
    embedded = [
        json.loads(text) for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', document)
    ]
    assert embedded == [read_result(path).model_dump(mode="json") for path in files]
    known = set()

    def collect(value):
        if isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)
        elif isinstance(value, float):
            known.add(value)

    collect(embedded)
    cells = re.findall(r'data-value="([^"]+)">\s*([-\d.]+)', document)
    assert len(cells) > 100
    for exact, shown in cells:
        assert float(exact) in known
        digits = len(shown.partition(".")[2])
        assert f"{float(exact):.{digits}f}" == shown


def test_pointing_at_a_mark_shows_its_thresholds(page):
    script = """
      const point = document.querySelector('.point[data-tip*="thresholds"]');
      point.dispatchEvent(new MouseEvent("mouseenter"));
      const tip = document.getElementById("tip");
      document.body.dataset.shown = tip.hidden ? "" : tip.textContent;
      point.dispatchEvent(new MouseEvent("mouseleave"));
      document.body.dataset.hidden = tip.hidden;
    """
    document, console = browse(page, script=script)
    assert console == []
    shown = html.unescape(re.search(r'data-shown="([^"]*)"', document)[1])
    assert "thresholds 0.500, 0.400" in shown
    assert "65.00 %" in shown
    assert "exits 80 / 10 / 10 %" in shown
    assert 'data-hidden="true"' in document


def test_without_scripts_it_reads_the_same(page):
    document = re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.S)
    assert "<title>fp32" in document  # a browser shows it when the pointer is over the mark
    assert "all stop after step 3" in document
    assert "0.750" in document


def test_doubts_stand_above_the_figures(page):
    text = page.read_text()
    assert "the device throttled: thermal state serious from round 3 of 4" in text
    assert text.index("Not to be relied on") > text.index("phone</h2>")


def test_runs_of_one_network_are_compared_image_by_image(page):
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>6</td><td>100.0 %</td><td>100.0 %</td>", page.read_text())
    assert rows == [
        ("fp32 (here)", "int8 (here)"),
        ("fp32 (here)", "phone (phone)"),
        ("int8 (here)", "phone (phone)"),
    ]


def test_what_a_result_says_cannot_break_out_of_the_page(tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    out = tmp_path / "evil.html"
    write_report(out, [(evil, result(network(evil), classifier()))], "html", published_behind())
    document, console = browse(out)
    assert console == []
    assert "<script>alert" not in document
    assert "<img" not in document


def test_markdown_has_the_same_tables(files, tmp_path):
    out = tmp_path / "report.md"
    assert gfnet("bench", "report", *files, "--out", out).exit_code == 0
    text = out.read_text()
    assert "| int8 | all stop after step 2 | 3.000 |" in text
    assert "**Not to be relied on:** the device throttled" in text
    assert "gfnet bench onnx a b --images photos --json RESULT.json" in text
    assert "GFNetKit 0.1.0 on Phone 12: see ios_demo/README.md" in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_what_a_result_says_cannot_break_out_of_markdown(tmp_path):
    name = "<script>|`x`| # [a](b)"
    said = result(network(name), classifier(), unreliable=(name,), command=f"gfnet {name}")
    write_report(tmp_path / "report.md", [(name, said)], "md")
    text = (tmp_path / "report.md").read_text()
    code = [line for line in text.splitlines() if line.startswith("    ")]
    prose = [line for line in text.splitlines() if line not in code]
    assert code == [f"    gfnet {name}"]
    assert not [line for line in prose if "<script" in line or "](" in line.replace(r"\](", "")]
    assert all(line.replace(r"\`", "").count("`") == 0 for line in prose)
    rows = [line.replace(r"\|", "").count("|") for line in prose if line.startswith("| ") and "script" in line]
    assert rows
    assert set(rows) <= {line.count("|") for line in prose if line.startswith("| ---")}


def test_csv_has_no_formula(tmp_path):
    write_report(tmp_path / "report.csv", [("=label", result(network("@name"), classifier()))], "csv")
    rows = list(csv.DictReader((tmp_path / "report.csv").open()))
    assert rows[0]["result"] == "'=label"
    assert rows[0]["subject"] == "'@name"
    assert float(rows[0]["mean_ms"]) > 0


def test_csv_has_a_row_for_everything_that_was_timed(files, tmp_path):
    out = tmp_path / "rows.csv"
    assert gfnet("bench", "report", *files, "--out", out).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert len(rows) == 3 * (3 + 3 + 1) + 2 * (1 + 1 + 1)
    (row,) = (row for row in rows if (row["subject"], row["measured"]) == ("int8", "stop 2"))
    assert (float(row["typical_ms"]), float(row["ratio"]), row["reliable"]) == (3.0, 0.6, "yes")
    assert {row["reliable"] for row in rows if row["result"] == "phone"} == {"no"}


def test_a_picture_is_drawn(files, tmp_path):
    out = tmp_path / "report.png"
    assert gfnet("bench", "report", *files, "--out", out).exit_code == 0
    with Image.open(out) as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(2**24)) > 50


def test_the_curve_alone_is_a_picture_too(files, tmp_path):
    out = tmp_path / "curve.png"
    assert gfnet("bench", "report", files[0], "--out", out, "--curve").exit_code == 0
    assert gfnet("bench", "report", files[0], "--out", tmp_path / "whole.png").exit_code == 0
    with Image.open(out) as curve, Image.open(tmp_path / "whole.png") as whole:
        assert curve.height < 0.7 * whole.height
    with_figure = out.read_bytes()
    assert gfnet("bench", "report", files[0], "--out", out, "--curve", "--no-published").exit_code == 0
    assert out.read_bytes() != with_figure
    assert "--curve draws a PNG" in one_line(gfnet("bench", "report", files[0], "--out", tmp_path / "a.md", "--curve"))


def test_a_curve_has_the_lines_that_were_asked_for(files, tmp_path):
    alone = tmp_path / "alone.png"
    asked = ("bench", "report", files[0], "--out", alone, "--curve", "--no-published")
    assert gfnet(*asked, "--line", "fp32=GFNet", "--line", "fu*=the backbone").exit_code == 0
    lines = [Line.parse(text) for text in ("fp32=GFNet", "fu*")]
    assert [line.label for line in lines] == ["GFNet", "fu*"]
    assert [(name, curve.kind) for name, curve in _chosen([("", HERE)], lines) if curve.kind == "budgets"] == [
        ("GFNet", "budgets")
    ]
    assert "--line nothing: nothing measured has that name; there are fp32, int8, full" in one_line(
        gfnet(*asked, "--line", "nothing")
    )
    assert "--line applies only with --curve" in one_line(
        gfnet("bench", "report", files[0], "--out", alone, "--line", "fp32")
    )


def test_classifiers_that_differ_in_size_alone_are_one_curve():
    small = classifier(
        "small", 3.0, network="mobilenetv3_large_100@160", reference="full", loop=loop(3.0, (1.0,), top1=60.0)
    )
    full = classifier(loop=loop(5.0, (1.0,), top1=70.0))
    other = classifier("int8", ms=4.0, precision="int8", loop=loop(4.0, (1.0,), top1=69.0))
    found = [curve for curve in curves_of(result(network(), full, small, other)) if curve.kind == "classifier"]
    assert [curve.subject for curve in found] == ["mobilenetv3_large_100 fp32 on the full image", "int8"]
    assert [point.top1 for point in found[0].points] == [60.0, 70.0]
    assert [point.relative for point in found[0].points] == [pytest.approx(0.6), 1.0]


def test_the_format_may_be_given(files, tmp_path):
    out = tmp_path / "report.txt"
    assert gfnet("bench", "report", files[0], "--out", out, "--format", "md").exit_code == 0
    assert out.read_text().startswith("## here")
    assert "unknown format 'txt'" in one_line(gfnet("bench", "report", files[0], "--out", out))
    assert "is read, and would be replaced" in one_line(
        gfnet("bench", "report", files[0], "--out", files[0], "--format", "md")
    )


def test_networks_without_accuracies_are_shown_without_a_curve(tmp_path):
    bare = network(stored_top1=(), curve=(), loop=loop(7.0, (0.0, 0.0, 1.0)))
    write_result_file(tmp_path / "bare.json", result(bare, classifier()))
    assert gfnet("bench", "report", tmp_path / "bare.json", "--out", tmp_path / "bare.html").exit_code == 0
    text = (tmp_path / "bare.html").read_text()
    assert "so there\nis no curve to draw" in text
    assert "no thresholds: all steps were run" in text
    assert gfnet("bench", "report", tmp_path / "bare.json", "--out", tmp_path / "bare.png").exit_code == 0


def test_bad_files_are_named_and_nothing_is_written(files, tmp_path):
    (tmp_path / "broken.json").write_text("{}")
    out = tmp_path / "report.html"
    assert "broken.json" in one_line(gfnet("bench", "report", files[0], tmp_path / "broken.json", "--out", out))
    assert not out.exists()
