from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from gfnet.data import open_dataset, open_split, open_splits
from gfnet.data.classes import with_classes
from gfnet.data.packing import pack_folder
from gfnet.errors import DataError
from network_support import photograph


@pytest.fixture
def copy(scenes, tmp_path):
    return shutil.copytree(scenes, tmp_path / "scenes")


def test_differing_classes_are_refused_with_their_names(copy):
    shutil.rmtree(copy / "val" / "star")
    with pytest.raises(DataError, match=r"only in train: \['star'\]"):
        open_splits(copy)


def test_a_split_with_some_of_the_classes_is_numbered_by_all_of_them(copy):
    shutil.rmtree(copy / "val" / "bars")
    part, whole = open_split(copy / "val"), open_split(copy / "train")
    found = with_classes(part, whole)
    assert found.classes == whole.classes
    names = [path.split("/")[-2] for path, _ in part.samples]
    assert [whole.classes[label] for label in found.labels] == names
    assert with_classes(whole, whole) is whole


def test_a_split_with_a_class_too_many_cannot_be_numbered(copy):
    shutil.rmtree(copy / "val" / "bars")
    with pytest.raises(DataError, match=r"other classes than in .*val .only here: .'bars'"):
        with_classes(open_split(copy / "train"), open_split(copy / "val"))


def test_a_class_without_images_is_refused_by_name(copy):
    for path in (copy / "train" / "ring").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no images in class folder ring"):
        open_splits(copy)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        open_splits(tmp_path / "nowhere")
    with pytest.raises(DataError, match="train: no such folder"):
        open_splits(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        open_splits(tmp_path)


@pytest.fixture(scope="module")
def shards(scenes, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "shards"
    pack_folder(scenes, out, shard_images=16)
    return out


@pytest.mark.parametrize("spec", ["", "train-{000000..000003}.tar", "train-*.tar"])
def test_shards_are_a_dataset_like_the_folder_they_were_packed_from(scenes, shards, spec):
    train, val = open_dataset(shards / spec)
    folder, _ = open_dataset(scenes)
    assert (len(train), len(val)) == (60, 40)
    assert train.classes == val.classes == folder.classes
    assert sorted(train.labels) == sorted(folder.labels)
    packed = {np.asarray(train.load(i)).tobytes() for i in range(len(train))}
    assert packed == {np.asarray(folder.load(i)).tobytes() for i in range(len(folder))}
    assert sorted(train.order(np.random.default_rng(0))) == list(range(60))


def test_validation_shards_may_lie_elsewhere(shards, tmp_path):
    shutil.copytree(shards, tmp_path / "val")
    shutil.copytree(shards, tmp_path / "train")
    for path in (tmp_path / "train").glob("val-*"):
        path.unlink()
    spec = tmp_path / "train" / "train-{000000..000003}.tar"
    with pytest.raises(DataError, match=r"no validation shards val-.*pass --val-data"):
        open_dataset(spec)
    assert len(open_dataset(spec, tmp_path / "val" / "val-*.tar")[1]) == 40


def test_shards_without_class_names_are_called_by_number(shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "shards")
    (copy / "classes.json").unlink()
    train, val = open_dataset(copy)
    assert train.classes == val.classes == tuple("0123456789")


def test_a_folder_is_listed_as_torchvision_lists_it(tmp_path):
    """Trained networks stay valid: the same order of classes and of samples."""
    from torchvision.datasets import ImageFolder

    for name in (
        *("b/2.png", "b/10.png", "b/a/1.png", "b/a-b/1.png", "b/a/c/0.JPG", "B/x.jpeg", "a b/x.ppm", "10/x.bmp"),
        *("9/x.webp", "é/x.tif", "b/a.png", "St. Peter/x.PNG"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    theirs, ours = ImageFolder(str(tmp_path)), open_split(tmp_path)
    assert ours.classes == tuple(theirs.classes)
    assert list(ours.samples) == theirs.samples


def test_scenes_are_listed_as_torchvision_lists_them(scenes):
    from torchvision.datasets import ImageFolder

    assert list(open_split(scenes / "train").samples) == ImageFolder(str(scenes / "train")).samples


def test_listing_a_folder_needs_no_torch():
    code = "import sys, gfnet.data; sys.exit(bool({'torch', 'torchvision', 'timm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_kind_of_picture_counts_and_what_does_not_is_named(copy, caplog):
    for suffix in ("gif", "WEBP", "tiff"):
        photograph(20, 20).save(copy / "val" / "ring" / f"more.{suffix}")
    for name in ("ring/notes.txt", "star/film.mov", "readme.md", "ring/.hidden.png"):
        (copy / "val" / name).write_text("x")
    assert len(open_split(copy / "val")) == 43
    assert caplog.messages == [
        f"{copy / 'val'}: passed over 3 files that are not pictures: readme.md, ring/notes.txt, star/film.mov"
    ]
    caplog.clear()
    photograph(20, 20).save(copy / "val" / "loose.png")
    open_split(copy / "val")
    assert f"{copy / 'val'}: passed over pictures outside the class folders: loose.png" in caplog.messages


def test_hidden_folders_are_neither_classes_nor_images(copy):
    for place in ("val/.ipynb_checkpoints", "val/ring/.ipynb_checkpoints"):
        (copy / place).mkdir()
        photograph(20, 20).save(copy / place / "x-checkpoint.png")
    assert open_split(copy / "val").classes == open_split(copy / "train").classes
    assert len(open_split(copy / "val")) == 40


def test_links_multiply_no_image(copy, caplog):
    for number in range(8):
        (copy / "val" / "ring" / f"loop{number}").symlink_to("..")
    (copy / "val" / "loop").symlink_to("..")
    (copy / "val" / "ring" / "again.png").symlink_to(next((copy / "val" / "ring").glob("*.png")).name)
    assert len(open_split(copy / "val")) == 40
    assert len(open_split(copy / "val").classes) == 10
    assert not caplog.messages
    (copy / "val" / "ring" / "other").symlink_to("../star")
    split = open_split(copy / "val")
    assert [Path(path).parent.name for path, _ in split.samples] == [split.classes[label] for label in split.labels]
    assert "passed over 4 links to files of another class" in caplog.text


def test_one_file_in_two_classes_is_refused(copy):
    file = next((copy / "val" / "ring").glob("*.png"))
    (copy / "val" / "star" / "x.png").hardlink_to(file)
    with pytest.raises(DataError, match=r"star/x\.png: is the same file as .*ring/.*, of another class"):
        open_split(copy / "val")


def test_classes_may_be_links_to_folders_elsewhere(copy, tmp_path):
    (copy / "val" / "ring").rename(tmp_path / "elsewhere")
    (copy / "val" / "ring").symlink_to(tmp_path / "elsewhere")
    assert len(open_split(copy / "val")) == 40


def test_empty_class_folders_are_named_whole(copy):
    for name in ("St. Peter", "classes.b", "Found no valid file for the classes x. y"):
        (copy / "val" / name).mkdir()
    (copy / "val" / "St. Peter" / "a.txt").touch()
    with pytest.raises(DataError, match=r"class folders Found no valid .* classes x\. y, St\. Peter, classes\.b;"):
        open_split(copy / "val")


def test_a_class_may_be_called_by_bytes_that_are_no_text(copy):
    for split in ("train", "val"):
        (copy / split / "ring").rename(Path(os.fsdecode(os.fsencode(copy / split) + b"/caf\xe9")))
    train, val = open_dataset(copy)
    assert train.classes == val.classes
    assert "caf\\xe9" in val.classes
    assert all(val.load(i).size == (96, 96) for i in range(len(val)))
    pack_folder(copy, copy.parent / "shards")
    packed, _ = open_dataset(copy.parent / "shards")
    assert packed.classes == train.classes


def test_shards_without_names_need_no_image_of_the_last_class(tmp_path):
    for name, count in (("train", 3), ("val", 2)):
        with tarfile.open(tmp_path / f"{name}-0.tar", "w") as tar:
            for label in range(count):
                for suffix, content in (("png", b"x"), ("cls", b"%d" % label)):
                    member = tarfile.TarInfo(f"{label}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    train, val = open_dataset(tmp_path)
    assert train.classes == val.classes == ("0", "1", "2")
    assert not train.named
