from __future__ import annotations

import csv
import io

import pytest

from gfnet.escaping import Lines, as_lines, csv_text, markdown, one_line

PLAIN = {
    "accents": "Crème brûlée",
    "combining": "e\u0301 न\u0940",
    "emoji": "🍏 👩‍🍳 ❤️",
    "other scripts": "りんご яблоко تفاحة",
    "joined Persian": "می‌خواهم",
    "spaces": "a b\u00a0c\u202fd\u3000e",
}
ACTING = {
    "escape": ("\x1b[2Jgone", r"\x1b[2Jgone"),
    "newline": ("a\ngfnet: all is well", r"a\ngfnet: all is well"),
    "return": ("a\rb", r"a\rb"),
    "backspace and bell": ("a\b\a", r"a\x08\x07"),
    "tab": ("a\tb", r"a\tb"),
    "delete": ("a\x7fb", r"a\x7fb"),
    "eight-bit control": ("a\x9b2Jb\x85", r"a\x9b2Jb\x85"),
    "line separator": ("a\u2028b\u2029", r"a\u2028b\u2029"),
    "direction": ("a\u202egnp.exe", r"a\u202egnp.exe"),
    "no UTF-8": (b"caf\xe9".decode(errors="surrogateescape"), r"caf\udce9"),
    "invisible": ("a\ufeffb\u200bc", r"a\ufeffb\u200bc"),
}


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN.keys())
def test_what_people_write_stays(text):
    assert one_line(text) == text


@pytest.mark.parametrize(("text", "shown"), ACTING.values(), ids=ACTING.keys())
def test_what_acts_on_a_terminal_is_escaped(text, shown):
    assert one_line(text) == shown
    assert one_line(shown) == shown
    shown.encode("utf-8")


def test_only_breaks_between_lines_are_breaks():
    table = as_lines(["head", "a\nb"])
    assert table == "head\na\\nb"
    assert as_lines([table, "c\nd"]) == "head\na\\nb\nc\\nd"
    assert isinstance(as_lines([]), Lines)


FORMULAS = ("=HYPERLINK(1)", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1+1", "＝1", "-", "+49 30 1")
TEXTS = ("apple", "a=b", "1-2", "-0.5", "+3", "1e-3", "", "'quoted'", "x,y", 'say "x"')


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_text_is_a_formula(text):
    ((head,), (cell,)) = csv.reader(io.StringIO(csv_text([text], [[text]]), newline=""))
    assert head == cell == f"'{text}"


@pytest.mark.parametrize("text", TEXTS)
def test_other_text_is_left_alone(text):
    assert list(csv.reader(io.StringIO(csv_text(["name", "n"], [[text, 1]]))))[1] == [text, "1"]


def test_numbers_stay_numbers():
    assert csv_text(["a", "b", "c"], [[-0.5, -3, None]]) == "a,b,c\n-0.5,-3,\n"


def test_csv_of_names_that_are_no_utf8_can_be_written():
    assert csv_text(["caf\udce9"], []).encode() == b"caf\\udce9\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a|b", r"a\|b"),
        ("`code`", r"\`code\`"),
        ("a\n\n# b", r"a\\n\\n\# b"),
        ("[x](javascript:1)", r"\[x\](javascript:1)"),
        ("![x](y)", r"!\[x\](y)"),
        (r"a\|b", r"a\\\|b"),
        ("snake_case*s*", r"snake\_case\*s\*"),
        ("R&D", "R&amp;D"),
        ("plain words, 1.5 ms", "plain words, 1.5 ms"),
    ],
)
def test_markdown_shows_text_as_it_is(text, written):
    assert markdown(text) == written
