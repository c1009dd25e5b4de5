from __future__ import annotations

import logging
import shutil

from gfnet.console.notices import notice, notices_on_stderr, some_of
from network_support import gfnet


def test_a_notice_is_one_line_and_said_once(capsys):
    with notices_on_stderr():
        for text in ("one", "two\nlines", "one"):
            notice(text)
    assert capsys.readouterr().err == "gfnet: one\ngfnet: two lines\n"


def test_of_several_ranks_the_first_speaks(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with notices_on_stderr():
        notice("one")
    assert capsys.readouterr().err == ""


def test_a_program_gets_them_as_warnings(caplog):
    with caplog.at_level(logging.WARNING, "gfnet"):
        notice("100 % of it")
    assert caplog.messages == ["100 % of it"]


def test_names_are_cut_and_made_fit_to_be_shown():
    assert some_of(["a", "b"]) == "a, b"
    assert some_of(["a\x1b[2J", "b", "c", "d", "e"]) == "a\\x1b[2J, b, c and 2 more"


def test_a_command_says_each_thing_once(checkpoint_file, scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    (copy / "val" / "notes.txt").touch()  # calibrate opens this folder three times
    result = gfnet("calibrate", checkpoint_file, tmp_path / "out.safetensors", "--data", copy)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("val: passed over 1 file that is not a picture: notes.txt\n") == 1
