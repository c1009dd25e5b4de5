from __future__ import annotations

from gfnet.results.files import read_result, write_result_file
from gfnet.results.schema import Conditions
from gfnet_benchmark.results.recording import file_name
from network_support import gfnet, one_line
from result_support import classifier, network, result


def test_results_are_kept_once_under_a_name_that_says_what_they_are(tmp_path):
    write_result_file(tmp_path / "from phone.json", result())
    kept = tmp_path / "results"
    done = gfnet("bench", "ingest", tmp_path / "from phone.json", "--out", kept)
    assert done.exit_code == 0
    (file,) = kept.iterdir()
    assert file.name.startswith("phone-12-mobilenetv3-large-100-p96-t3-2026-01-31-")
    assert read_result(file) == result()
    assert "was there" in gfnet("bench", "ingest", tmp_path / "from phone.json", "--out", kept).output
    assert list(kept.iterdir()) == [file]


def test_another_result_has_another_name():
    assert file_name(result()) != file_name(result(images=11))
    assert "and-others" in file_name(result(network("a"), network("b", network="resnet50_p96_T3"), classifier()))


def test_one_bad_result_keeps_all_out(tmp_path):
    write_result_file(tmp_path / "good.json", result())
    (tmp_path / "bad.json").write_text("{}")
    message = one_line(gfnet("bench", "ingest", tmp_path / "good.json", tmp_path / "bad.json", "--out", tmp_path / "r"))
    assert "bad.json" in message
    assert not (tmp_path / "r").exists()


def test_a_device_that_throttled_is_kept_and_marked(tmp_path):
    hot = Conditions(seconds=60, thermal_states=("nominal", "nominal", "serious", "critical"))
    write_result_file(tmp_path / "hot.json", result(conditions=hot))
    done = gfnet("bench", "ingest", tmp_path / "hot.json", "--out", tmp_path / "r")
    assert done.exit_code == 0
    assert "not to be relied on: the device throttled: thermal state serious from round 3 of 4" in done.output


def test_where_results_are_kept_is_asked_for(tmp_path, monkeypatch):
    write_result_file(tmp_path / "phone.json", result())
    monkeypatch.chdir(tmp_path)
    assert "Missing option '--out'" in one_line(gfnet("bench", "ingest", "phone.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["phone.json"]
