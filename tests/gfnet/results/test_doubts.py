from __future__ import annotations

import json
from pathlib import Path

import gfnet
from gfnet.results.doubts import DoubtCode, table_text
from gfnet.results.files import read_result, write_result_file
from gfnet.results.schema import doubt
from result_support import result


def test_the_committed_table_is_that_of_the_codes():
    committed = Path(gfnet.__file__).parent / "results" / "doubts.json"
    assert committed.read_text() == table_text(), "run `make schema`"


def test_a_doubt_is_kept_as_its_code_and_shown_as_its_sentence(tmp_path):
    hot = doubt(DoubtCode.THROTTLED, state="serious", round=2, rounds=4)
    write_result_file(tmp_path / "result.json", result(unreliable=(hot,)))
    (kept,) = json.loads((tmp_path / "result.json").read_text())["unreliable"]
    assert kept == {"code": "throttled", "values": {"state": "serious", "round": "2", "rounds": "4"}}
    (shown,) = map(str, read_result(tmp_path / "result.json").unreliable)
    assert shown == "the device throttled: thermal state serious from round 2 of 4; let it cool"


def test_sentences_of_older_results_are_shown_as_they_stand(tmp_path):
    write_result_file(tmp_path / "result.json", result(unreliable=("{it} rained",)))
    assert tuple(map(str, read_result(tmp_path / "result.json").unreliable)) == ("{it} rained",)
