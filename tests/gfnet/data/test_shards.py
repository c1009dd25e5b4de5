from __future__ import annotations

import copy
import gzip
import io
import json
import os
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from gfnet.data.shards import INDEX_SUFFIX, find_shards, index_shard, load_index, open_shards
from gfnet.errors import DataError, ImageError
from network_support import photograph


def image(seed, kind="png"):
    stream = io.BytesIO()
    photograph(12, 10, seed).save(stream, kind)
    return stream.getvalue()


def write_tar(path, members, **options):
    """A tar of (name, content) in order, as any other tool might have written it."""
    with tarfile.open(path, "w", **options) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def samples(first, count, classes=3):
    for number in range(first, first + count):
        yield f"cat/{number:04d}.png", image(number)
        yield f"cat/{number:04d}.cls", str(number % classes).encode()


@pytest.fixture
def folder(tmp_path):
    """Three shards of 4, 3 and 5 samples; sample i shows image i, and its label is i % 3."""
    first = 0
    for shard, count in enumerate((4, 3, 5)):
        write_tar(tmp_path / f"train-{shard:06d}.tar", samples(first, count))
        first += count
    return tmp_path


def test_samples_are_numbered_through_the_shards(folder):
    shards = open_shards(folder, "train")
    assert len(shards) == 12
    assert shards.starts.tolist() == [0, 4, 7, 12]
    assert shards.labels.tolist() == [i % 3 for i in range(12)]
    assert [shards.read(i) for i in range(12)] == [image(i) for i in range(12)]
    assert shards.name(5) == f"{folder}/train-000001.tar: cat/0005.png"
    assert np.array_equal(np.asarray(shards.load(7)), np.asarray(photograph(12, 10, 7)))
    for outside in (-1, 12):
        with pytest.raises(IndexError):
            shards.read(outside)


def test_what_other_tools_put_into_a_tar_is_understood(tmp_path):
    long = "a.dir/" + "b" * 180
    members = [
        ("./A.JPG", image(0, "jpeg")),
        ("./A.json", b"{}"),
        ("./A.CLS", b" 2\n"),
        ("./A.seg.png", image(9)),
        ("__meta__/x.png", b"skipped as WebDataset does"),
        ("notes.txt", b"no sample"),
        (f"{long}.cls", b"0"),
        ("no_extension", b""),
        (f"{long}.webp", image(1, "webp")),
        ("katze/\u00e4.1.png", b"its extension is 1.png"),
        ("\u00e4.png", image(2)),
        ("\u00e4.cls", b"1"),
    ]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        shards = open_shards(write_tar(tmp_path / f"{form}.tar", members, format=form))
        assert [shards.name(i).split(": ")[1] for i in range(3)] == ["./A.JPG", f"{long}.webp", "\u00e4.png"]
        assert shards.labels.tolist() == [2, 0, 1]
        assert shards.read(2) == image(2)


def test_an_index_is_kept_and_made_anew_when_the_shard_changes(folder):
    shard = folder / "train-000000.tar"
    index = folder / (shard.name + INDEX_SUFFIX)
    assert load_index(shard) is None
    open_shards(shard)
    np.testing.assert_array_equal(load_index(shard).samples, index_shard(shard).samples)
    kept = index.read_bytes()
    write_tar(shard, samples(50, 6))
    assert load_index(shard) is None
    assert len(open_shards(shard)) == 6
    os.utime(shard, ns=(0, 0))
    assert load_index(shard) is None
    for damaged in (kept[:100], b"", b"\x80nonsense"):
        index.write_bytes(damaged)
        assert load_index(shard) is None
        assert len(open_shards(shard)) == 6


def test_a_second_opening_reads_no_tar(folder, monkeypatch):
    first = open_shards(folder, "train")
    monkeypatch.setattr("gfnet.data.shards.tarfile.open", None)
    np.testing.assert_array_equal(open_shards(folder, "train").index, first.index)


def test_a_place_that_cannot_be_written_is_no_trouble(folder, monkeypatch):
    def read_only(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", read_only)
    assert len(open_shards(folder, "train")) == 12
    assert not list(folder.glob("*.npy"))


def test_other_processes_read_with_files_of_their_own(folder):
    shards = open_shards(folder, "train")
    shards.read(0)
    for other in (pickle.loads(pickle.dumps(shards)), copy.deepcopy(shards)):
        assert other.read(11) == image(11)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = int([shards.read(i) for i in range(12)] != [image(i) for i in range(12)])
        finally:
            os._exit(code)  # never back into pytest
    assert [shards.read(i) for i in range(12)] == [image(i) for i in range(12)]
    assert os.waitpid(child, 0)[1] == 0


def test_few_shards_are_open_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("gfnet.data.shards._MOST_OPEN", 2)
    for shard in range(9):
        write_tar(tmp_path / f"{shard}.tar", samples(shard, 1))
    shards = open_shards(tmp_path / "*.tar")
    before = len(os.listdir("/dev/fd"))
    assert [shards.read(i) for i in range(9)] == [image(i) for i in range(9)]
    assert len(os.listdir("/dev/fd")) <= before + 2


def test_the_order_shuffles_shards_and_mixes_within_windows(tmp_path):
    for shard in range(10):
        write_tar(tmp_path / f"{shard}.tar", samples(0, 5))
    shards = open_shards(tmp_path / "*.tar")

    def order(seed):
        return shards.order(np.random.default_rng(seed), window=2)

    assert sorted(order(0)) == list(range(50))
    assert np.array_equal(order(0), order(0))
    assert not np.array_equal(order(0), order(1))
    windows = (order(0) // 5).reshape(5, 10)
    assert all(len(set(window)) == 2 for window in windows.tolist())
    assert all(np.count_nonzero(np.diff(window)) > 1 for window in windows)
    assert windows.min(1).tolist() != sorted(windows.min(1))


def test_braces_globs_and_folders_name_shards(folder, tmp_path):
    def names(spec, split=None):
        return [path.name for path in find_shards(spec, split)]

    every = [f"train-{shard:06d}.tar" for shard in range(3)]
    assert names(folder, "train") == every
    assert names(f"{folder}/train-{{000000..000002}}.tar") == every
    assert names(f"{folder}/train-00000{{2..0}}.tar") == every[::-1]
    assert names(f"{folder}/train-0000{{00,01}}.tar") == every[:2]
    assert names(f"{folder}/train-{{000,000}}{{000..001}}.tar") == every[:2]
    open_shards(folder, "train")
    assert names(f"{folder}/train-*") == every
    assert names(f"{folder}/{{train,train}}-*.tar") == every
    odd = write_tar(tmp_path / "a{0..1}[b].tar", samples(0, 1))
    assert names(odd) == [odd.name]
    (folder / "train-000003.tar").symlink_to("train-000000.tar")
    assert names(folder, "train") == every


@pytest.mark.parametrize(
    ("spec", "split", "message"),
    [
        ("train-{000000..000004}.tar", None, r"train-000003\.tar: no such shard \(the first of 2 missing of the 5 in"),
        ("train-{8..9}.tar", None, r"train-8\.tar: no such shard"),
        ("none.tar", None, r"none\.tar: no such shard; check"),
        ("val-*.tar", None, r"val-\*\.tar: matches no file"),
        ("", None, "is a folder; name its shards"),
        ("", "val", r"no val-\*\.tar in this folder"),
        ("{0..99999999999}{0..9}.tar", None, "more than 1,000,000 files"),
    ],
)
def test_shards_that_are_not_there_are_named(folder, spec, split, message):
    with pytest.raises(DataError, match=message):
        open_shards(f"{folder}/{spec}", split)


BROKEN = {
    "no label": ([("a.png", b"x"), ("b.cls", b"1")], "sample a has no cls file"),
    "no image": ([("cat/a.cls", b"1")], "sample cat/a has no image"),
    "apart": ([("a.png", b"x"), ("b.png", b"x"), ("b.cls", b"0"), ("a.cls", b"1")], "sample a has no cls file"),
    "two images": ([("a.png", b"x"), ("a.jpg", b"x"), ("a.cls", b"1")], r"sample a has two images, a\.png and a\.jpg"),
    "two labels": ([("a.png", b"x"), ("a.cls", b"1"), ("a.CLS", b"1")], "sample a has two cls files"),
    "word": ([("a.png", b"x"), ("a.cls", b"cat")], "cls of sample a is 'cat'"),
    "negative": ([("a.png", b"x"), ("a.cls", b"-1")], "cls of sample a is '-1'"),
    "no text": ([("a.png", b"x"), ("a.cls", b"")], "cls of sample a is ''"),
    "fraction": ([("a.png", b"x"), ("a.cls", b"1.0")], r"cls of sample a is '1\.0'"),
    "huge": ([("a.png", b"x"), ("a.cls", b"9" * 1000)], "cls of sample a is '99999"),
    "bytes": ([("a.png", b"x"), ("a.cls", b"\xff\xfe1")], r"cls of sample a is '\\\\xff"),
    "nothing": ([], "holds no samples"),
    "strangers": ([("readme.txt", b"hello")], "holds no samples"),
}


@pytest.mark.parametrize(("members", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_sample_is_named_with_its_shard(members, message, tmp_path):
    path = write_tar(tmp_path / "train-0.tar", members)
    with pytest.raises(DataError, match=rf"train-0\.tar: .*{message}"):
        open_shards(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_tar_cut_anywhere_is_refused(folder):
    shard = folder / "train-000000.tar"
    whole = shard.read_bytes()
    end = max(position for position in range(0, len(whole), 512) if any(whole[position : position + 512])) + 512
    for length in (0, 100, 512, 600, 1024, 3000, end - 512, end - 100, end):
        shard.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"train-000000\.tar: not a complete tar file .*copy or pack it again"):
            open_shards(shard)


def test_a_damaged_header_is_not_taken_for_the_end(folder):
    shard = folder / "train-000000.tar"
    data = bytearray(shard.read_bytes())
    data[int(index_shard(shard).samples[2, 0]) + 10] ^= 0xFF
    shard.write_bytes(data)
    with pytest.raises(DataError, match="not a complete tar file"):
        open_shards(shard)


def test_other_files_than_tars_are_refused(folder):
    text = folder / "text.tar"
    text.write_bytes(b"hello " * 1000)
    with pytest.raises(DataError, match=r"text\.tar: not a complete tar file"):
        open_shards(text)
    packed = folder / "val-000000.tar.gz"
    packed.write_bytes(gzip.compress((folder / "train-000000.tar").read_bytes()))
    with pytest.raises(DataError, match=r"tar\.gz: is compressed; unpack it"):
        open_shards(folder, "val")


def test_class_names_come_from_beside_the_shards(folder):
    assert open_shards(folder, "train").classes is None
    assert open_shards(folder, "train").num_classes == 3
    assert open_shards(folder, "train", num_classes=7).num_classes == 7
    (folder / "classes.json").write_text(json.dumps(["ant", "bee", "crane", "crane"]))
    shards = open_shards(folder, "train")
    assert shards.classes == ("ant", "bee", "crane", "crane")
    assert shards.num_classes == 4
    with pytest.raises(DataError, match=r"classes\.json: names 4 classes, but 7 were asked for"):
        open_shards(folder, "train", num_classes=7)


def test_a_label_without_a_class_is_named_with_the_range(folder):
    with pytest.raises(DataError, match=r"train-000000\.tar: cat/0002\.png: its cls is 2, outside 0 to 1 .*4 such"):
        open_shards(folder, "train", num_classes=2)


@pytest.mark.parametrize("text", ["{", '{"cat": 0}', "[]", "[1, 2]", '["cat", ""]', b"\xff\xfe"])
def test_broken_class_names_are_refused(folder, text):
    (folder / "classes.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=r"classes\.json: (not JSON|not a list of class names)"):
        open_shards(folder, "train")


def test_shards_of_differing_classes_are_not_mixed(tmp_path):
    for name, classes in (("a", ["x", "y", "z"]), ("b", ["x", "z", "y"])):
        (tmp_path / name).mkdir()
        write_tar(tmp_path / name / "train-0.tar", samples(0, 3))
        (tmp_path / name / "classes.json").write_text(json.dumps(classes))
    with pytest.raises(DataError, match=rf"{tmp_path}/b/classes\.json: differs from {tmp_path}/a/"):
        open_shards(f"{tmp_path}/{{a,b}}/train-0.tar")


def test_a_shard_that_changes_or_goes_while_open_is_named(folder):
    shards = open_shards(folder, "train")
    write_tar(folder / "train-000001.tar", samples(40, 3))
    with pytest.raises(DataError, match=r"train-000001\.tar: changed since it was indexed"):
        shards.read(5)
    (folder / "train-000002.tar").unlink()
    with pytest.raises(DataError, match=r"train-000002\.tar: cannot be read"):
        shards.read(8)
    assert shards.name(8) == f"{folder}/train-000002.tar: sample 1"
    shards.read(0)
    os.truncate(folder / "train-000000.tar", 600)
    with pytest.raises(DataError, match=r"train-000000\.tar: ends inside a sample"):
        shards.read(3)


@pytest.mark.parametrize("content", [b"", b"text", image(0)[:60]])
def test_an_image_that_cannot_be_decoded_is_named(tmp_path, content):
    shards = open_shards(write_tar(tmp_path / "x.tar", [("dog/a.png", content), ("dog/a.cls", b"0")]))
    assert shards.read(0) == content
    with pytest.raises(ImageError, match=re.escape(f"{tmp_path}/x.tar: dog/a.png: ")):
        shards.load(0)


def test_shards_that_webdataset_wrote_are_read(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.ShardWriter(f"{tmp_path}/train-%06d.tar", maxcount=4, verbose=0) as writer:
        for number in range(10):
            extra = {"json": {"n": number}, "seg.png": image(99)}
            writer.write({"__key__": f"a/{number:03d}", "png": image(number), "cls": number % 3, **extra})
    shards = open_shards(f"{tmp_path}/train-{{000000..000002}}.tar")
    assert shards.labels.tolist() == [i % 3 for i in range(10)]
    assert [shards.read(i) for i in range(10)] == [image(i) for i in range(10)]


def names(shards):
    return [shards.name(i).rpartition(": ")[2] for i in range(len(shards))]


def test_names_may_have_dots_of_their_own(tmp_path, caplog):
    def pair(stem, number):
        return (f"{stem}.png", image(number)), (f"{stem}.cls", b"0")

    members = [*pair("photo.0000", 0), *pair("0001", 1), *pair("photo.0002", 2), *pair("photo.0003", 3)]
    members += [*pair("a/b.c/IMG.2024.01.02", 4), ("x.y.cls", b"0"), ("x.y.z.cls", b"0")]
    members += [("x.y.JPG", image(5)), ("x.y.z.gif", image(6, "gif"))]
    shards = open_shards(write_tar(tmp_path / "x.tar", members))
    assert [name.rpartition("/")[2] for name in names(shards)] == [
        *("photo.0000.png", "0001.png", "photo.0002.png", "photo.0003.png", "IMG.2024.01.02.png"),
        *("x.y.JPG", "x.y.z.gif"),
    ]
    assert [shards.read(i) for i in range(6)] == [image(i) for i in range(6)]
    assert not caplog.messages


def test_what_is_passed_over_in_shards_is_counted_and_named_also_from_the_index(tmp_path, caplog):
    members = [
        ("a.png", image(0)),
        ("a.cls", b"0"),
        ("a.json", b"{}"),
        ("a.mask.png", b"of sample a"),
        ("film.mov", b"x"),
        ("lone.1.png", image(1)),
        ("lone.2.cls", b"0"),
        ("._b.png", b"x"),
        (".ipynb_checkpoints/b.png", b"x"),
        ("readme", b"x"),
        ("a.png", image(0)),
        ("a.cls", b"0"),
    ]
    path = write_tar(tmp_path / "x.tar", members)
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("c.png")
        link.type, link.linkname = tarfile.LNKTYPE, "a.png"
        tar.addfile(link)
    told = f"{path}: passed over 6 members, which are not pictures with labels of their own or repeat a name: "
    for _ in range(2):
        assert names(open_shards(path)) == ["a.png"]
        assert caplog.messages == [told + "film.mov, readme, lone.1.png and 3 more"]
        caplog.clear()


@pytest.mark.parametrize("change", ["label", "offset", "size", "passed", "huge", "pickle", "float", "columns", "pipe"])
def test_an_index_that_cannot_be_true_is_made_anew(folder, change):
    shard = folder / "train-000000.tar"
    open_shards(shard)
    path = folder / (shard.name + INDEX_SUFFIX)
    table = np.load(path)
    row, column, value = {
        "label": (3, 3, -1),
        "offset": (3, 1, 10**12),
        "size": (3, 2, -5),
        "passed": (1, 0, -1),
    }.get(change, (0, 0, table[0, 0]))
    table[row, column] = value
    np.save(path, table.astype(float) if change == "float" else table[:, :3] if change == "columns" else table)
    if change == "huge":
        content = path.read_bytes()
        path.write_bytes(content.replace(b"(6, 4), ", b"(9999999999999, 4), ".ljust(8))[: len(content)])
    if change == "pickle":
        np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    if change == "pipe":
        path.unlink()
        os.mkfifo(path)
    assert load_index(shard) is None
    assert open_shards(shard).labels.tolist() == [0, 1, 2, 0]
    assert change == "pipe" or load_index(shard) is not None


@pytest.mark.parametrize("name", ["train-000000.tar", "classes.json"])
def test_a_pipe_in_place_of_a_file_is_refused(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(DataError, match=f"{name}: is "):
        open_shards(folder, "train")


@pytest.mark.parametrize("text", ["[" * 100_000, '["\\ud800"]', '[["a"]]', '["a", 1]'])
def test_class_names_of_any_kind_end_in_one_line(folder, text):
    (folder / "classes.json").write_text(text)
    with pytest.raises(DataError, match=r"classes\.json: (not JSON|not a list of class names)"):
        open_shards(folder, "train")
