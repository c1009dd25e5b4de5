from __future__ import annotations

import json

import numpy as np
import pytest

from gfnet.errors import DataError
from gfnet.results.files import write_result_file
from gfnet_benchmark.results.comparing import break_even, changes
from network_support import gfnet, one_line
from result_support import CPU, classifier, network, result


@pytest.fixture
def files(tmp_path):
    """OLD; NEW on a machine of twice the speed, where the second step became slower to its baseline."""
    old = result(network(lengths=(2.0, 4.0, 6.0)), classifier(ms=5.0))
    new = result(network(lengths=(1.0, 2.3, 3.15), baseline_ms=2.5), classifier(ms=2.5))
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, one in zip(paths, (old, new), strict=True):
        write_result_file(path, one)
    return paths


def test_ratios_are_compared_and_not_times(files, tmp_path):
    answer = tmp_path / "answer.json"
    done = gfnet("bench", "compare", *files, "--fail-above", "1.10", "--json", answer)
    assert done.exit_code == 1
    assert [change["factor"] for change in json.loads(answer.read_text())["changes"]] == pytest.approx(
        [1.0, 1.15, 1.05]
    )
    assert done.output.count("SLOWER") == 1
    assert "fp32, all stop after step 2 is 1.15 times as slow" in done.stderr


def test_what_did_not_become_slower_passes(files):
    assert gfnet("bench", "compare", *files, "--fail-above", "1.2").exit_code == 0
    assert gfnet("bench", "compare", *files).exit_code == 0


def test_only_the_same_thing_is_compared():
    old = result()
    with pytest.raises(DataError, match="is not in the new result, which has fp32, mobilenetv3_large_100_p96_T3 int8"):
        changes(old, result(network(precision="int8"), classifier()))
    with pytest.raises(DataError, match="is not in the new result"):
        changes(old, result(network(runtime=CPU.model_copy(update={"threads": 2})), classifier()))
    with pytest.raises(DataError, match=r"v2, mobilenetv3_large_100_p96_T3 fp32 .* is not in the new result"):
        changes(result(network("v1"), network("v2"), classifier()), result(network("v1"), classifier()))
    with pytest.raises(DataError, match="without a baseline"):
        changes(old, result(network(baseline_ms=None)))
    with pytest.raises(DataError, match="compared with mobilenetv3_large_100@224 in fp32, then with resnet18@224"):
        changes(old, result(network(), classifier(network="resnet18@224")))
    with pytest.raises(DataError, match="in fp32, then with mobilenetv3_large_100@224 in int8-vectors"):
        changes(old, result(network(), classifier(precision="int8-vectors")))
    with pytest.raises(DataError, match="is not in the new result"):
        changes(old, result(network("a"), network("b"), classifier()))
    assert len(changes(old, result(network("fp32"), network("b"), classifier()))) == 3
    assert len(changes(old, result(network("other name"), classifier()))) == 3


def test_bad_choices_are_one_line(files, tmp_path):
    assert "not 1" in one_line(gfnet("bench", "compare", files[0], "--fail-above", "1.1"))
    assert "given twice" in one_line(gfnet("bench", "compare", files[0], files[0]))
    (tmp_path / "broken.json").write_text('{"schema_version": 1}')
    assert "schema version 1" in one_line(gfnet("bench", "compare", files[0], tmp_path / "broken.json"))


def test_with_that_share_the_mean_is_the_baseline_s():
    lengths, baseline = np.array([2.0, 4.0, 7.0]), 5.0
    for step, share in enumerate(break_even(tuple(lengths), baseline)):
        assert share is not None
        assert share * lengths[step] + (1 - share) * lengths[-1] == pytest.approx(baseline)


def test_a_step_that_costs_more_by_itself_never_pays():
    assert break_even((2.0, 6.0, 9.0), 5.0) == (pytest.approx(4 / 7), None)


def test_all_steps_cheaper_than_the_baseline_need_no_exit():
    assert break_even((1.0, 2.0, 3.0), 5.0) == (0.0, 0.0)
    assert break_even((1.0,), 5.0) == ()
