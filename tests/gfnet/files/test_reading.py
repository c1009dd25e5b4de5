from __future__ import annotations

import os

import pytest

from gfnet.errors import BundleError, DataError
from gfnet.files.reading import open_regular, read_bytes, read_json


def test_json_is_read_with_or_without_a_mark_of_its_encoding(tmp_path):
    path = tmp_path / "x.json"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + b'{"a": [1, "\xc3\xa9", "\\ud83d\\ude00"]}')
        assert read_json(path, 1000) == {"a": [1, "é", "😀"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000, "nested too deeply"),
        (b'["\\ud800"]', "half of a character"),
        (b'{"\\uDFFF": 1}', "half of a character"),
        (b'["\xed\xa0\x80"]', "not JSON"),
        (b"\xff\xfe[\x00]\x00", "not JSON"),
        (b"[NaN]", "NaN is not a number"),
        (b"[-Infinity]", "Infinity is not a number"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        (b"[" + b"9" * 10_000 + b"]", "not JSON"),
        (b"", "not JSON"),
        (b"[1,]", "not JSON"),
        (b" " * 3000, "larger than 2,000 bytes"),
    ],
)
def test_what_is_no_plain_json_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=message) as found:
        read_json(path, 2000 if len(content) == 3000 else 1_000_000, BundleError)
    assert str(found.value).startswith(f"{path}: ")
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 500


def test_pipes_folders_and_devices_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", "/dev/zero", "/dev/null"):
        with pytest.raises(DataError, match="is a pipe, a socket or a device; give a file"):
            read_bytes(path, 10)
    with pytest.raises(DataError, match="is a folder; give a file"):
        read_bytes(tmp_path, 10)


def test_a_file_that_is_not_there_is_for_the_caller_to_judge(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "nothing", 10)
    (tmp_path / "link").symlink_to(tmp_path / "link")
    with pytest.raises(DataError, match="link: cannot be read"):
        open_regular(tmp_path / "link")
