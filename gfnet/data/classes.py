"""Whether data and a network mean the same classes, and how they map where they do not.

Answers and labels are numbers, so other classes, or the same in another order, give figures that look like any others
and mean nothing.  Whatever brings a network and labelled images together asks :func:`pair_split`, or
:func:`label_photos` for photos in folders, before the network runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gfnet.console.notices import notice, some_of
from gfnet.data.class_names import code_points, composed, first_difference
from gfnet.data.splits import RenumberedSplit, Split
from gfnet.errors import ConfigError, DataError
from gfnet.escaping import one_line
from gfnet.files.listing import readable_name
from gfnet.files.reading import read_json

BY_NAME, BY_NUMBER = "by-name", "by-number"

_LARGEST_MAP = 64 * 1024**2  # bytes
_SYNSET = re.compile(r"n\d{8}")
_IMAGENET_CLASSES = 1000
_HOW = "say with --classes how they map"


def pair_split(
    split: Split, names: Sequence[str] | None, count: int, class_map: str | None = None, *, network: str = "the network"
) -> Split:
    """The split, numbered as the network numbers its classes.

    Without ``class_map`` data and network must have the same names in the same order.  A network without names knows
    numbers only: as many classes are taken for its classes in their order, and that is told.  So it is of shards
    without names, which know numbers only, too.  Folders called by ImageNet's synset ids fit a network with
    ImageNet's names.

    Args:
        names: what the network calls its classes, if it knows.
        count: how many classes it tells apart.
        class_map: ``by-name``: a class of the data is the network's of that name, in any order; the data may lack
            some.  ``by-number``: classes that are all called by numbers of the network's classes are those; others
            count in their order, and keep their names.  Otherwise a JSON file, an object of the network's names or
            numbers by the data's names; several may be one; what is not in it goes by name.
        network: what to call it in an error.

    Raises:
        DataError: the two differ, or do not map as ``class_map`` says; the message names the first class.
        ConfigError: ``class_map`` is neither of the words nor a file.
    """
    found = tuple(map(readable_name, split.classes))
    known = None if names is None else tuple(map(readable_name, names))
    numbers = _numbers(one_line(split.root), found, split.named, known, count, class_map, network)
    own_names = class_map in (None, BY_NUMBER) or known in (None, found)
    if numbers == tuple(range(count)) and own_names:
        return split
    return RenumberedSplit(split, known or tuple(map(str, range(count))), numbers)


def label_photos(
    files: Sequence[Path], names: Sequence[str] | None, count: int, class_map: str | None = None
) -> list[int] | None:
    """The network's class number of every photo, by the folders that they lie in; ``None`` where these name no classes.

    Photos are taken for labelled if one of their folders has the name of a class, or if ``class_map`` says how folders
    map; see :func:`pair_split`.

    Raises:
        DataError: folders of labelled photos are not classes of the network.
        ConfigError: ``class_map`` is neither of the words nor a file.
    """
    of_file = [readable_name(file.absolute().parent.name) for file in files]
    folders = tuple(sorted(set(of_file)))
    known = None if names is None else tuple(map(readable_name, names))
    if class_map is None:
        table = _ByName(known, count) if known is not None else None
        if table is None or not any(table.has(folder) for folder in folders):
            return None
        unknown = [folder for folder in folders if not table.has(folder)]
        if unknown:
            raise DataError(
                f"photos lie in folders with names of classes, but also in {some_of(unknown)}; {_HOW}, or "
                "give photos of its classes alone"
            )
    numbers = _numbers("the photos' folders", folders, True, known, count, class_map or BY_NAME, "the network")
    by_folder = dict(zip(folders, numbers, strict=True))
    return [by_folder[folder] for folder in of_file]


def with_classes(split: Split, whole: Split) -> Split:
    """A split numbered by the classes of ``whole``, of which it may lack some.

    Raises:
        DataError: it has a class that ``whole`` has not.
    """
    if split.classes == whole.classes:
        return split
    unknown = sorted(set(split.classes) - set(whole.classes))[:3]
    if unknown:
        raise DataError(f"{split.root}: other classes than in {whole.root} (only here: {unknown}); make them alike")
    return RenumberedSplit(split, whole.classes, tuple(map(whole.classes.index, split.classes)))


def _numbers(
    where: str,
    found: tuple[str, ...],
    named: bool,
    known: tuple[str, ...] | None,
    count: int,
    class_map: str | None,
    network: str,
) -> tuple[int, ...]:
    """The network's number of each class of the data: the one decision that all commands share."""
    mapped = None if class_map in (None, BY_NAME, BY_NUMBER) else _read_map(str(class_map))
    if found == known and mapped is None:
        return tuple(range(count))
    if class_map is None:
        return _same_or_refused(where, found, named, known, count, network)
    if class_map == BY_NUMBER:
        return _by_number(where, found, count, network)
    table = _ByName(known, count)
    if mapped is None:
        numbers = tuple(table.number(where, name, network) for name in found)
        for number in set(numbers):
            same = [name for name, other in zip(found, numbers, strict=True) if other == number]
            if len(same) > 1:
                raise DataError(f"{where}: {some_of(same)} are one name{code_points(same[:1], same[1:2])}; join them")
        return numbers
    return tuple(
        table.number(where, mapped.get(name, name), network, class_map if name in mapped else None) for name in found
    )


def _same_or_refused(
    where: str, found: tuple[str, ...], named: bool, known: tuple[str, ...] | None, count: int, network: str
) -> tuple[int, ...]:
    numbered = tuple(map(str, range(count)))
    if not named and len(found) <= count:  # shards need not hold an image of the last classes
        if known not in (None, numbered):
            notice(
                f"{where}: shards without class names, so their class 0 is taken for {one_line(repr(known[0]))} of "
                f"{network}, and so on; put classes.json beside them to have this checked"
            )
        return tuple(range(len(found)))
    if len(found) != count:
        missing, more = (sorted(set(one) - set(other)) for one, other in ((known or (), found), (found, known or ())))
        only = [
            f"only {whose} has {some_of(names)}"
            for whose, names in (("the network", missing), ("the data", more))
            if names and known is not None and named
        ]
        what = "; ".join([f"{where}: {len(found)} classes, but {network} has {count}", *only])
        raise DataError(f"{what}; give it the same classes, or {_HOW}")
    if known is None:
        notice(f"{where}: {network} knows no class names, so classes are taken to be in its order")
        return tuple(range(count))
    if _is_imagenet(known, found) and found == _synsets():
        return tuple(range(count))
    number = first_difference(found, known)
    ours, theirs = found[number], known[number]
    hint = f"give it the same classes, or {_HOW}"
    table = _ByName(known, count)
    if all(table.has(name) for name in found):
        hint = "the network has all of these names: --classes by-name takes them by name"
    raise DataError(
        f"{where}: class {number} is {one_line(repr(ours))} in the data, but {one_line(repr(theirs))} to {network}"
        f"{code_points([ours], [theirs])}; {hint}"
    )


def _by_number(where: str, found: tuple[str, ...], count: int, network: str) -> tuple[int, ...]:
    called = [int(name) if re.fullmatch(r"[0-9]{1,9}", name) else count for name in found]
    if all(number < count for number in called) and len(set(called)) == len(called):
        return tuple(called)
    if len(found) != count:
        raise DataError(f"{where}: {len(found)} classes, but {network} has {count}, so their order does not match")
    return tuple(range(count))


class _ByName:
    """A network's classes by their names; by their numbers where it has none, by synset ids for ImageNet's.

    Names that differ in their Unicode form alone are the same.
    """

    def __init__(self, known: tuple[str, ...] | None, count: int) -> None:
        self.known, self.count = known, count
        self.by_name: dict[str, list[int]] = {}
        for number, name in enumerate(known or map(str, range(count))):
            self.by_name.setdefault(composed(name), []).append(number)

    def has(self, name: str) -> bool:
        return bool(self._found(name))

    def number(self, where: str, name: str | int, network: str, file: str | None = None) -> int:
        """The number of a class.

        Args:
            file: the map that says so, if one does.

        Raises:
            DataError: there is none, or several.
        """
        place = f"{where}: " if file is None else f"{file}: "
        if isinstance(name, int):
            if not 0 <= name < self.count:
                raise DataError(f"{place}{network} has no class {name}; it has 0 to {self.count - 1}")
            return name
        numbers = self._found(name)
        if not numbers:
            why = "knows no class names" if self.known is None else "has no class of that name"
            raise DataError(
                f"{place}{one_line(repr(name))} is a class, but {network} {why}; --classes takes a JSON file that maps "
                "it"
            )
        if len(numbers) > 1:
            raise DataError(
                f"{place}{network} calls classes {numbers[0]} and {numbers[1]} both {one_line(repr(name))}; map by "
                "number"
            )
        return numbers[0]

    def _found(self, name: str) -> list[int]:
        numbers = self.by_name.get(composed(name), [])
        if not numbers and _is_imagenet(self.known, (name,)):
            synsets = _synsets()
            return [synsets.index(name)] if name in synsets else []
        return numbers


def _read_map(path: str) -> dict[str, str | int]:
    try:
        content: Any = read_json(path, _LARGEST_MAP)
    except FileNotFoundError:
        raise ConfigError(f"--classes {path}: no such file; give {BY_NAME}, {BY_NUMBER} or a JSON file") from None
    if not isinstance(content, dict) or not content or not all(type(value) in (str, int) for value in content.values()):
        raise DataError(f'{path}: not a map of classes; write {{"the data\'s name": "the network\'s name", ...}}')
    return content


def _is_imagenet(known: tuple[str, ...] | None, found: Sequence[str]) -> bool:
    """Whether a network has ImageNet's names and the data ids of synsets."""
    if known is None or len(known) != _IMAGENET_CLASSES or not all(map(_SYNSET.fullmatch, found)):
        return False
    from gfnet.checkpoint import imagenet_labels

    return known == imagenet_labels()


@cache
def _synsets() -> tuple[str, ...]:
    """The ids of ImageNet's classes, in the order of its numbers."""
    from timm.data.imagenet_info import ImageNetInfo

    return tuple(ImageNetInfo().label_names())
