from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from gfnet.data import open_split
from gfnet.data.packing import pack_folder, sample_keys
from gfnet.data.shards import load_index, open_shards
from gfnet.errors import ConfigError, DataError, GFNetError, ImageError
from network_support import gfnet, one_line, photograph, write_odd_images


def test_every_file_goes_in_byte_for_byte_with_its_label(scenes, tmp_path):
    classes, packed = pack_folder(scenes, tmp_path / "out", shard_images=25)
    assert [(split.name, split.images, split.shards, split.unreadable) for split in packed] == [
        ("train", 60, 3, ()),
        ("val", 40, 2, ()),
    ]
    for split in packed:
        shards = open_shards(tmp_path / "out", split.name)
        assert shards.classes == classes == open_split(scenes / split.name).classes
        assert split.bytes == sum(path.stat().st_size for path in shards.shards)
        found = {(shards.name(i).split(": ")[1], classes[shards.labels[i]], shards.read(i)) for i in range(len(shards))}
        files = (scenes / split.name).glob("*/*")
        assert found == {(f"{f.parent.name}/{f.name}", f.parent.name, f.read_bytes()) for f in files}


def test_the_indexes_are_written_too(scenes, tmp_path):
    pack_folder(scenes, tmp_path / "out")
    for split, images in (("train", 60), ("val", 40)):
        index = load_index(tmp_path / "out" / f"{split}-000000.tar")
        assert index is not None
        assert len(index.samples) == images


def test_every_shard_mixes_classes(scenes, tmp_path):
    pack_folder(scenes, tmp_path / "out", shard_images=20)
    shards = open_shards(tmp_path / "out", "train")
    for shard in range(3):
        assert len(set(shards.labels[shards.starts[shard] : shards.starts[shard + 1]])) >= 6


def test_the_same_input_and_seed_give_the_same_bytes(scenes, tmp_path):
    def tars(folder, seed):
        pack_folder(scenes, folder, shard_images=30, seed=seed)
        return [path.read_bytes() for path in sorted(folder.glob("*.tar"))]

    copied = shutil.copytree(scenes, tmp_path / "copy", copy_function=shutil.copy)
    for path in copied.rglob("*.png"):
        os.utime(path, (1, 1))
    first = tars(tmp_path / "a", 3)
    pack_folder(copied, tmp_path / "b", shard_images=30, seed=3)
    assert first == [path.read_bytes() for path in sorted((tmp_path / "b").glob("*.tar"))]
    assert first != tars(tmp_path / "c", 4)


def test_a_size_limits_shards(scenes, tmp_path):
    pack_folder(scenes, tmp_path / "out", shard_mb=0.3)
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("train-*.tar")]
    assert len(sizes) > 2
    assert max(sizes) <= 0.3e6 + tarfile.RECORDSIZE
    for number in range(3):
        (tmp_path / "in" / "val" / str(number)).mkdir(parents=True)
        photograph(8, 8).save(tmp_path / "in" / "val" / str(number) / "a.png")
    pack_folder(tmp_path / "in", tmp_path / "tiny", shard_mb=0.000001)
    assert len(list((tmp_path / "tiny").glob("val-*.tar"))) == 3


def test_keys_are_readable_unique_and_end_at_no_dot(tmp_path):
    names = ("a.b.png", "a_b.png", "c.jpg", "c.png", "c-2.png", "sub.dir/x.png", "new\nline.png", "\u00fc.PNG")
    for name in (*(f"cat/{name}" for name in names), "__background__/a.png", "n.01/a.png"):
        (tmp_path / "in" / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        photograph(8, 8, len(name)).save(tmp_path / "in" / "val" / name)
    split = open_split(tmp_path / "in" / "val")
    assert sorted(sample_keys(split)) == sorted(
        [
            "background/a",
            "n.01/a",
            "cat/a_b",
            "cat/a_b-2",
            "cat/c-2",
            "cat/c",
            "cat/c-3",
            "cat/new_line",
            "cat/sub.dir/x",
            "cat/\u00fc",
        ]
    )
    pack_folder(tmp_path / "in", tmp_path / "out")
    shards = open_shards(tmp_path / "out", "val")
    assert sorted(shards.read(i) for i in range(len(shards))) == sorted(Path(p).read_bytes() for p, _ in split.samples)


def test_unreadable_images_are_left_out_and_named(tmp_path):
    write_odd_images(tmp_path / "in" / "train" / "thing")
    _, (train,) = pack_folder(tmp_path / "in", tmp_path / "out")
    assert sorted(message.split(":")[0].rsplit("/", 1)[1] for message in train.unreadable) == [
        "empty.png",
        "text.jpg",
        "truncated.jpg",
    ]
    assert len(open_shards(tmp_path / "out", "train")) == train.images
    with pytest.raises(ImageError):
        pack_folder(tmp_path / "in", tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_a_split_without_a_readable_image_is_refused(tmp_path):
    (tmp_path / "in" / "val" / "cat").mkdir(parents=True)
    (tmp_path / "in" / "val" / "cat" / "a.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"val: none of its 1 images can be read, e\.g\. .*a\.png"):
        pack_folder(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_full_disk_or_an_interruption_leaves_nothing(scenes, tmp_path, monkeypatch):
    for trouble in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fail(*arguments, trouble=trouble):
            raise trouble

        monkeypatch.setattr("gfnet.data.packing.os.fsync", fail)
        with pytest.raises((GFNetError, KeyboardInterrupt)) as raised:
            pack_folder(scenes, tmp_path / "out", shard_images=20)
        if isinstance(trouble, OSError):
            assert f"{tmp_path / 'out'}: cannot write (No space left on device)" in str(raised.value)
        assert not list(tmp_path.iterdir())


def test_the_images_themselves_are_never_replaced(scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "data" / "scenes")
    for out in (copy, copy.parent, copy / "train", copy / "val" / "packed"):
        with pytest.raises(GFNetError, match="choose another output folder"):
            pack_folder(copy, out, overwrite=True)
    assert len(list(copy.rglob("*.png"))) == 100
    pack_folder(copy, copy / "packed")
    assert len(open_shards(copy / "packed", "train")) == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard_mb": 1, "shard_images": 1}, "not both"),
        ({"shard_mb": 0}, r"shards of 0 MB hold nothing"),
        ({"shard_mb": float("nan")}, "shards of nan MB"),
        ({"shard_images": 0}, "0 images a shard are too few"),
        ({"seed": -1}, "seed -1 is negative"),
    ],
)
def test_wrong_options_are_refused(scenes, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        pack_folder(scenes, tmp_path / "out", **options)


def test_a_folder_without_splits_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds neither train/ nor val/"):
        pack_folder(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        pack_folder(tmp_path / "nowhere", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_command_packs_and_reports(scenes, tmp_path):
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    next((copy / "val" / "star").iterdir()).write_bytes(b"")
    out = tmp_path / "out"
    result = gfnet("pack", copy, out, "--shard-images", "30", "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert "60 train images of 10 classes, shards: 2" in result.output
    assert "1 images could not be read" in result.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert [(split["name"], split["images"], split["shards"]) for split in written["splits"]] == [
        ("train", 60, 2),
        ("val", 39, 2),
    ]
    assert json.loads((out / "classes.json").read_text()) == written["classes"]
    assert "already exists" in one_line(gfnet("pack", copy, out))
    assert "the file is empty" in one_line(gfnet("pack", copy, out, "--overwrite", "--strict"))
    assert len(open_shards(out, "val")) == 39


def test_webdataset_reads_what_was_packed(scenes, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    pack_folder(scenes, tmp_path / "out", shard_images=25)
    shards = open_shards(tmp_path / "out", "train")
    theirs = list(webdataset.WebDataset(f"{tmp_path}/out/train-{{000000..000002}}.tar", shardshuffle=False))
    assert [(int(sample["cls"]), sample["png"]) for sample in theirs] == [
        (shards.labels[i], shards.read(i)) for i in range(60)
    ]
