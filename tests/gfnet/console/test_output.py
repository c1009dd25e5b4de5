from __future__ import annotations

import faulthandler
import io
import os
import subprocess
import sys
import warnings

import pytest

from gfnet.console import output as console
from gfnet.console.output import say
from gfnet.escaping import as_lines


def test_every_line_is_escaped_but_breaks_of_tables(capsys):
    say("a\x1b[2J\nb", as_lines(["c", "d"]), "")
    say("e\udcff", err=True)
    assert capsys.readouterr() == ("a\\x1b[2J\\nb\nc\nd\n\n", "e\\udcff\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_no_terminal_is_too_narrow_for_a_name(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    say("é \u0160 りんご 🍏 \udc80")
    shown = stream.buffer.getvalue().decode(encoding)
    assert shown.endswith("\n")
    assert r"\udc80" in shown


def test_without_standard_output_nothing_is_said(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    say("hello")
    console.finish()


def test_a_reader_that_left_is_no_error(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        say("nobody reads this")
        say("x" * 100_000)
        console.finish()


def test_what_others_wrote_to_a_closed_pipe_is_noticed(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(BrokenPipeError):
            print("x" * 100_000, flush=True)
        assert console.reader_left()


def test_a_reader_that_is_there_has_not_left(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "__stdout__", None)
    read, write = os.pipe()
    with open(read) as _reader, open(write, "w") as pipe, open(tmp_path / "file", "w") as file:
        for stream in (pipe, file, io.StringIO(), None):
            monkeypatch.setattr(sys, "stdout", stream)
            assert not console.reader_left()


def test_a_full_disk_at_the_end_is_no_complaint_of_the_interpreter(monkeypatch):
    with open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print("x")
        console.finish()


def test_warnings_are_for_debugging(capsys):
    before = warnings.showwarning
    for debug in (False, True):
        with console.warnings_hushed(debug), warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("odd\x1b[2J", RuntimeWarning, stacklevel=1)
        said = capsys.readouterr()
        assert said.out == ""
        assert ("RuntimeWarning" in said.err) == debug
        assert "\x1b" not in said.err
    assert warnings.showwarning is before


def test_a_crash_of_the_interpreter_says_where():
    code = "from gfnet.console.output import start; start(); import ctypes; ctypes.string_at(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Segmentation fault" in done.stderr
    assert 'File "<string>", line 1' in done.stderr


def test_processes_of_a_command_show_crashes_too(monkeypatch):
    monkeypatch.delenv("PYTHONFAULTHANDLER", raising=False)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    console.start()
    assert os.environ["PYTHONFAULTHANDLER"] == "1"
    assert faulthandler.is_enabled()


def test_a_traceback_is_escaped(capsys, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    console.start()
    try:
        raise ValueError("a\x1b[2J")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("ValueError: a\\x1b[2J\n")
