from __future__ import annotations

import json
import math

import pytest

from gfnet.errors import DataError
from gfnet.results.files import find_network, read_network, read_result, write_result_file
from gfnet.results.schema import cumulative_latency
from result_support import classifier, network, result


def test_a_written_result_is_read_again(tmp_path):
    written = result()
    write_result_file(tmp_path / "result.json", written)
    assert read_result(tmp_path / "result.json") == written


def changed(path, *edit):
    """The file's result with a value set: keys, then the value."""
    content = json.loads(path.read_text())
    *keys, last, value = edit
    place = content
    for key in keys:
        place = place[key]
    if value is DROPPED:
        del place[last]
    else:
        place[last] = value
    path.write_text(json.dumps(content))
    return path


DROPPED = object()


WRONG = {
    "another version": (("schema_version", 1), "schema version 1, but this release reads 2"),
    "a version of words": (("schema_version", "2"), "schema version '2', but"),
    "no version": (("schema_version", DROPPED), "not a benchmark result"),
    "a missing field": (("images", DROPPED), "images: Field required"),
    "an unknown field": (("mood", "good"), "mood"),
    "not a number": (("subjects", 0, "loop", "typical_ms", math.nan), "NaN is not a number"),
    "infinity": (("subjects", 0, "stops", 1, "latency", "mean_ms", math.inf), "Infinity is not a number"),
    "a negative time": (("subjects", 0, "subgraphs", 0, "steady", "median_ms", -1.0), "steady.median_ms"),
    "percentiles that fall": (("subjects", 0, "subgraphs", 0, "steady", "p90_ms", 0.1), "do not ascend"),
    "samples too few": (("subjects", 0, "loop", "latency", "samples_ms", [1.0]), "1 samples, but count is 40"),
    "exits that are not all": (("subjects", 0, "loop", "exit_distribution", [0.5, 0.1, 0.1]), "adds up to 0.7, not 1"),
    "a step too few": (("subjects", 0, "stops", []), "stops"),
    "steps that skip": (("subjects", 0, "stops", 1, "step", 3), "not those of steps 1, 2"),
    "a reference that is not there": (("subjects", 0, "reference", "nobody"), "nobody is no other classifier"),
    "a name twice": (("subjects", 1, "name", "fp32"), "two subjects are called fp32"),
    "a round too many": (("rounds", 5), "4 values in round_ms for 5 rounds"),
    "a date of words": (("created", "yesterday"), "created"),
    "thresholds of another number": (("subjects", 0, "loop", "thresholds", [0.5]), "1 thresholds for 3 steps"),
    "an interval upside down": (("subjects", 0, "loop", "ratio", "low", 9.0), "upside down"),
    "shares of another number": (("subjects", 0, "curve", 0, "exit_distribution", [1.0]), "curve.0.exit_distribution"),
    "a subgraph of no step": (("subjects", 0, "subgraphs", 0, "steps", []), "subgraphs.0.steps"),
    "a subgraph of a later step": (("subjects", 0, "subgraphs", 0, "steps", [4]), "glance runs at step 4 of 3"),
    "a network of other steps": (("subjects", 0, "network", "net_p96_T5"), "does not have the 3 steps"),
    "a network as reference": (("subjects", 1, "reference", "fp32"), "fp32 is no other classifier"),
    "a ratio outside of its interval": (("subjects", 0, "loop", "ratio", "value", 9.0), "outside of its interval"),
    "a model of other steps": (("subjects", 0, "loop", "modelled_ms", 99.0), "stops and exits say 3.75"),
    "a number in quotes": (("images", "10"), "images"),
    "a line in a message": (("unreliable", ["all is well\nUNRELIABLE: no"]), "unreliable"),
    "an unknown doubt": (("unreliable", [{"code": "rainy"}]), "should be 'still-warming'"),
    "a doubt without its values": (("unreliable", [{"code": "busy", "values": {"busy": "3"}}]), "needs busy, cores"),
    "a ratio of nothing": (("subjects", 0, "loop", "ratio", "value", 0.0), "ratio.value"),
    "an answer after the last step": (("subjects", 0, "loop", "answers", 0, "exit_step", 4), "at step 4 of 3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_sound_result_says_what_and_where(name, tmp_path):
    edit, message = WRONG[name]
    path = tmp_path / "result.json"
    write_result_file(path, result())
    with pytest.raises(DataError) as caught:
        read_result(changed(path, *edit))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_json_says_so(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_result(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a folder"):
        read_result(tmp_path)
    for text in ("", "{", "[" * 100_000, '{"schema_version": 2', "\x00"):
        (tmp_path / "text.json").write_text(text)
        with pytest.raises(DataError, match="not JSON"):
            read_result(tmp_path / "text.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match="not a benchmark result"):
        read_result(tmp_path / "list.json")


def test_a_network_is_found_by_what_it_is():
    name = "mobilenetv3_large_100_p96_T3"
    assert find_network(result(), name).name == "fp32"
    with pytest.raises(DataError, match="measures mobilenetv3_large_100_p96_T3, not resnet50_p96_T5; measure this"):
        find_network(result(), "resnet50_p96_T5")
    with pytest.raises(DataError, match="measures no network"):
        find_network(result(classifier()), name)


def test_one_of_several_forms_of_a_network_is_named_behind_the_file(tmp_path):
    name, path = "mobilenetv3_large_100_p96_T3", tmp_path / "two.json"
    write_result_file(path, result(network("a"), network("b", lengths=(1.0, 2.0, 3.0)), classifier()))
    with pytest.raises(DataError, match=r"two.json: .* several times; write #NAME behind the file, with one of a, b"):
        read_network(str(path), name)
    assert cumulative_latency(read_network(f"{path}#b", name)) == (1.0, 2.0, 3.0)
    with pytest.raises(DataError, match="no subject 'c'; it has a, b, full"):
        read_network(f"{path}#c", name)
    with pytest.raises(DataError, match="no such file"):
        read_network(str(tmp_path / "none.json"), name)
