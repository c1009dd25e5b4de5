"""Text that others wrote, such as names of files and classes, where some of its characters would act.

A terminal obeys control characters, a spreadsheet formulas, and Markdown its marks.  What is written for people goes
through a function of this module; JSON and HTML have escapes of their own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from unicodedata import category

_JOINERS = "\u200c\u200d"  # inside of words of several scripts, and of emoji
_MARKS = re.compile(r"([\\`*_\[\]|~#])")


class Lines(str):
    """Text whose line breaks are meant; :func:`as_lines` makes it."""

    __slots__ = ()


def one_line(text: object, most: int | None = 300) -> str:
    r"""``text`` on one line, with nothing in it that a terminal obeys or a reader cannot see.

    Control characters, marks that turn the direction of text, and bytes that are not UTF-8 become escapes such as
    ``\x1b``; letters, accents, spaces and emoji of any script stay.

    Args:
        most: characters that are shown of it; ``None`` shows all.
    """
    shown = str(text)
    if most is not None and len(shown) > most:
        shown = shown[:most] + " ..."
    return "".join(letter if _shows(letter) else ascii(letter)[1:-1] for letter in shown)


def _shows(letter: str) -> bool:
    return letter.isprintable() or letter in _JOINERS or category(letter) == "Zs"


def as_lines(parts: Iterable[str]) -> Lines:
    """Lines below each other, each by :func:`one_line`; a part that is :class:`Lines` already stays several."""
    return Lines("\n".join(part if isinstance(part, Lines) else one_line(part, None) for part in parts))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated lines; an unknown value is an empty cell, and no cell is a formula.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, which makes it a text there.
    Numbers stay as they are.
    """
    return "".join(_csv_line(row) + "\n" for row in (header, *rows))


def _csv_line(row: Sequence[object]) -> str:
    text, end = io.StringIO(), "\r\n"  # older Pythons quote what stands in the line's end, and a lone \r not otherwise
    csv.writer(text, lineterminator=end).writerow([_csv_cell(value) for value in row])
    return text.getvalue().removesuffix(end)


def _csv_cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    value = value.encode("utf-8", "backslashreplace").decode("utf-8")  # names of files need not be UTF-8
    acts = value[:1] in ("\t", "\r", "\n") or value.lstrip()[:1] in tuple("=+-@＝＋－＠")
    return f"'{value}" if acts and not _is_number(value) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()


def markdown(text: object) -> str:
    """``text`` as plain words in a paragraph or a cell of a table: no HTML, no links, no code, no new line."""
    shown = _MARKS.sub(r"\\\1", one_line(text, None))
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
