from __future__ import annotations

import pytest

from gfnet.data.class_names import check_same_classes, code_points, composed, first_difference
from gfnet.errors import DataError


def test_names_that_look_alike_are_told_by_their_code_points():
    assert "the first has U+0065 U+0301 where the second has U+00E9" in code_points(["cafe\u0301"], ["caf\u00e9"])
    assert "U+200B where the second has nothing" in code_points(["ring", "a\u200b"], ["b", "a"])
    assert "nothing where the second has U+0020" in code_points(["a"], ["a "])
    assert code_points(["ring"], ["star"]) == ""
    assert code_points(["a"], ["a"]) == ""
    assert composed("cafe\u0301") == "caf\u00e9"


def test_splits_with_the_same_classes_in_another_order_are_told_apart():
    check_same_classes("data", ["a", "b"], ("a", "b"))
    with pytest.raises(DataError, match="class 1 is 'b' in train, but 'c' in val"):
        check_same_classes("data", ["a", "b", "c"], ["a", "c", "b"])
    with pytest.raises(DataError, match=r"only in val: \['caf.*U\+0065 U\+0301"):
        check_same_classes("data", ["cafe\u0301"], ["caf\u00e9"])
    with pytest.raises(DataError, match="different classes"):
        check_same_classes("data", ["a", "a"], ["a"])
    assert first_difference("abc", "axc") == 1
