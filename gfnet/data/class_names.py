"""Class names that differ, in words that show how."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from gfnet.errors import DataError

_SHOWN_POINTS = 8


def check_same_classes(root: str | Path, train: Sequence[str], val: Sequence[str]) -> None:
    """Refuse two splits that do not tell the same classes apart, or number them otherwise.

    Raises:
        DataError: the message says which classes only one of them has, or where their orders part.
    """
    if list(train) == list(val):
        return
    only_train, only_val = (sorted(set(one) - set(other)) for one, other in ((train, val), (val, train)))
    if not (only_train or only_val) and len(train) == len(val):
        number = first_difference(train, val)
        what = f"class {number} is {train[number]!r} in train, but {val[number]!r} in val"
    else:
        what = f"only in train: {only_train[:3]}, only in val: {only_val[:3]}" + code_points(only_train, only_val)
    raise DataError(f"{root}: train/ and val/ have different classes ({what}); make them alike")


def first_difference(one: Sequence[str], other: Sequence[str]) -> int:
    """The first place where two lists of names have different ones."""
    return next(number for number, names in enumerate(zip(one, other, strict=False)) if len(set(names)) > 1)


def code_points(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """Of the first two names that look alike: what differs, in Unicode's numbers; empty if there are none."""
    for one in ours:
        for other in theirs:
            if one != other and _look(one) == _look(other):
                first, second = map(_points, _differing(one, other))
                return f" (they look alike, but the first has {first} where the second has {second})"
    return ""


def _differing(one: str, other: str) -> tuple[str, str]:
    """Two texts without what they begin and end with alike."""
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    return one[start : len(one) - end], other[start : len(other) - end]


def _points(text: str) -> str:
    shown = " ".join(f"U+{ord(letter):04X}" for letter in text[:_SHOWN_POINTS])
    return (shown or "nothing") + (" ..." if len(text) > _SHOWN_POINTS else "")


def composed(name: str) -> str:
    """A name in the Unicode form that most systems write; some that come from a Mac have another."""
    return unicodedata.normalize("NFC", name)


def _look(name: str) -> str:
    """What two names share that a reader can hardly tell apart."""
    plain = unicodedata.normalize("NFKC", name)
    return " ".join("".join(letter for letter in plain if unicodedata.category(letter) != "Cf").split())
