from __future__ import annotations

import dataclasses
import re

import pytest
from PIL import Image

from gfnet.inference.budgets import BudgetPoint, Evaluation
from gfnet.results.schema import Conditions
from gfnet_benchmark.demo.page import Baseline, Example, Facts, times_the_macs, write_report
from page_support import Page, browse, overflow
from result_support import classifier, network, result

POINTS = tuple(
    BudgetPoint(m * 1e6, (0.5 + 0.1 * i, 0.4, -1e8), 60.0 + 5 * i, m * 1e6, (0.8 - 0.2 * i, 0.1 + 0.2 * i, 0.1))
    for i, m in enumerate((8.0, 12.0, 16.0))
)
BASELINES = (Baseline(40, 7e6, 42.0), Baseline(64, 16e6, 62.0), Baseline(120, 56e6, 78.0))


def subject(size, ms):
    one = classifier(
        f"whole-image-{size}",
        ms,
        network=f"test_resnet@{size}",
        image_size=size,
        stored_top1=(50.0,),
        cold=network().cold,
    )
    graphs = tuple(graph.model_copy(update={"load_ms": 3.0, "first_run_ms": 1.0}) for graph in one.subgraphs)
    return one.model_copy(update={"subgraphs": graphs})


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    picture = tmp_path_factory.mktemp("demo page") / "scene.png"
    Image.new("RGB", (944, 614), "white").save(picture)
    measured = result(
        network("onnx", network="test_resnet_p40_T3", image_size=120, reference="whole-image-120", matches=()),
        *(subject(one.size, 1.0 + i) for i, one in enumerate(BASELINES)),
    )
    return Facts(
        evaluation=Evaluation(1000, (7e6, 15e6, 23e6), (45.0, 65.0, 72.0), POINTS),
        patch_size=40,
        image_size=120,
        chosen=POINTS[-1],
        random_top1=(45.0, 52.0, 56.0),
        baselines=BASELINES,
        epochs=(4, 3, 12, 3),
        result=measured,
        onnx_bytes=4_000_000,
        coreml_bytes=2_000_000,
        coreml_precision="fp16",
        examples=(Example(picture, 1, True), Example(picture, 3, False)),
        seed=0,
        train_images=3400,
        minutes=4.2,
    )


@pytest.fixture(scope="module")
def page(facts, tmp_path_factory):
    out = tmp_path_factory.mktemp("demo page") / "report.html"
    write_report(out, facts)
    return out


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_runs_off_a_phone_s_screen_and_the_browser_does_not_complain(page, dark):
    assert browse(page, dark=dark)[1] == []
    assert overflow(page, dark=dark) == 0


def test_its_tags_match_and_it_needs_no_other_file(page):
    found = Page()
    found.feed(page.read_text())
    assert found.open == []
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in found.links)


def test_rivals_stand_in_both_charts_and_in_the_table(page):
    text = page.read_text()
    for one in BASELINES:
        assert len(re.findall(rf"<text[^>]*fill: #e4572e[^>]*>{one.size}</text>", text)) == 2
        assert (
            f"<td>{one.size} × {one.size} pixels</td><td>{one.macs / 1e6:.1f} M</td><td>{one.top1:.1f} %</td>" in text
        )


def test_the_rival_s_cost_is_read_off_the_line_through_its_sizes():
    assert times_the_macs(POINTS[-1], BASELINES) == pytest.approx((16 + 40 * (70 - 62) / (78 - 62)) / 16)
    assert times_the_macs(dataclasses.replace(POINTS[-1], top1=62.0), BASELINES) == pytest.approx(1)
    assert times_the_macs(dataclasses.replace(POINTS[-1], top1=90.0), BASELINES) is None


def test_a_run_beside_other_load_is_not_to_be_relied_on(facts, page, tmp_path):
    assert "Not to be relied on" not in page.read_text()
    busy = facts.result.model_copy(update={"conditions": Conditions(seconds=12, others_cores=3.5)})
    write_report(tmp_path / "busy.html", dataclasses.replace(facts, result=busy))
    text = (tmp_path / "busy.html").read_text()
    assert "Not to be relied on:" in text
    assert "other processes kept 3.5 of 4 cores busy" in text


def test_where_no_size_is_as_accurate_the_page_says_so(facts, tmp_path):
    best = dataclasses.replace(facts.chosen, top1=90.0)
    write_report(tmp_path / "best.html", dataclasses.replace(facts, chosen=best))
    assert "not reached" in (tmp_path / "best.html").read_text()
