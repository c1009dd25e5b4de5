from __future__ import annotations

from gfnet.results.schema import Match
from gfnet_benchmark.report.formats import write_report
from gfnet_benchmark.report.tables import comparison_table, result_table
from result_support import classifier, network, result


def test_devices_stand_side_by_side():
    table = comparison_table([("here", result()), ("there", result(unreliable=("it rained",)))])
    lines = table.splitlines()
    assert len(lines) == 5
    assert "Phone 12" in lines[1]
    assert "0.750 [0.742, 0.758]" in lines[1]
    assert "50 / 30 / 20" in lines[1]
    assert "not to be relied on" not in lines[1]
    assert "not to be relied on" in lines[3]


def test_an_accuracy_that_some_resamples_do_not_reach_has_an_open_interval_that_is_explained(tmp_path):
    reached = Match(classifier="full", top1=70.0, typical_ms=2.5, ratio=0.5, low=0.4, high=None)
    missed = Match(classifier="full", top1=90.0, typical_ms=None, ratio=None, low=None, high=None)
    measured = result(network(matches=(reached, missed)), classifier())
    table = result_table(measured)
    assert "0.500 [0.400 to open]" in table
    assert "does not reach this accuracy" in table
    for form in ("md", "html"):
        write_report(tmp_path / f"report.{form}", [("here", measured)], form)
    texts = (table, *((tmp_path / f"report.{form}").read_text() for form in ("md", "html")))
    assert all("o open: in some resamples of the images" in text for text in texts)
    bounded = reached.model_copy(update={"high": 0.6})
    assert "to open" not in result_table(result(network(matches=(bounded,)), classifier()))
