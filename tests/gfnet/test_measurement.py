from __future__ import annotations

import json

import pytest

from gfnet.errors import DataError
from gfnet.measurement import (
    Loop,
    Machine,
    Result,
    SubgraphTiming,
    Timing,
    cumulative_latency,
    read_result,
    write_result_file,
)

ROLES = {"glance": "glance", "policy": "policy"}


def timing(ms: float) -> Timing:
    return Timing(count=1, mean_ms=9 * ms, median_ms=ms, p90_ms=ms, p99_ms=ms)


def result(**medians: float) -> Result:
    graphs = (
        SubgraphTiming(name=name, role=ROLES.get(name, "focus"), load_ms=1, first_run_ms=1, steady=timing(ms))
        for name, ms in medians.items()
    )
    return Result(
        network="net_p40_T3",
        precision="fp32",
        bundle_sha256="0" * 64,
        revision=None,
        machine=Machine(device="d", os="o", runtime="r", compute_units="CPU", threads=1),
        images=1,
        unreadable=(),
        rounds=1,
        warmup_rounds=0,
        subgraphs=tuple(graphs),
        baseline=None,
        loop=Loop(
            thresholds=None,
            exit_distribution=(0, 0, 1),
            latency=timing(1),
            images_per_second=1,
            ratio_to_baseline=None,
        ),
    )


def test_a_written_result_is_read_again(tmp_path):
    written = result(glance=1, policy=2)
    write_result_file(tmp_path / "result.json", written)
    assert read_result(tmp_path / "result.json") == written


def test_what_is_no_result_says_where(tmp_path):
    path = tmp_path / "result.json"
    with pytest.raises(DataError, match="no such file"):
        read_result(path)
    write_result_file(path, result(glance=1))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rounds": 0}))
    with pytest.raises(DataError, match=r"no benchmark result \(rounds: .*measure it again"):
        read_result(path)


def test_a_later_step_adds_policy_and_its_own_focus():
    measured = result(glance=1, policy=0.5, focus_2=2, focus_3=4)
    assert cumulative_latency(measured, "net_p40_T3", 3) == (1, 3.5, 8)


def test_one_focus_may_serve_all_steps():
    assert cumulative_latency(result(glance=1, policy=0.5, focus=2), "net_p40_T3", 3) == (1, 3.5, 6)


def test_another_network_or_a_missing_subgraph_is_refused():
    with pytest.raises(DataError, match="measures net_p40_T3, not net_p96_T3"):
        cumulative_latency(result(glance=1), "net_p96_T3", 3)
    with pytest.raises(DataError, match="no subgraph focus_3"):
        cumulative_latency(result(glance=1, policy=0.5, focus_2=2), "net_p40_T3", 3)
