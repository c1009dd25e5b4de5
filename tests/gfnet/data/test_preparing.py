from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from gfnet.data import open_dataset, open_split, open_splits
from gfnet.data.preparing import join_folders, prepare_caltech101, prepare_groceries
from gfnet.errors import ConfigError, DataError, GFNetError
from gfnet.files.replacing import RECORD
from network_support import gfnet, one_line, photograph

# Class folders as the Grocery Store data set has them, with fine and coarse numbers.
GROCERIES = {
    "Fruit/Apple/Golden-Delicious": (0, 0),
    "Fruit/Banana": (6, 2),
    "Packages/Yoghurt/Valio-Vanilla-Yoghurt": (56, 27),
}
COUNTS = {"train": 3, "test": 2, "val": 1}
LACKING_IN_VAL = "Fruit/Banana"


def write_groceries(root, *, numbers=True, table=True):
    """A miniature of the repository, lists with or without class numbers; returns its folder ``dataset``."""
    dataset = root / "dataset"
    for split, count in COUNTS.items():
        lines = []
        for folder, (fine, coarse) in GROCERIES.items():
            if split == "val" and folder == LACKING_IN_VAL:
                continue
            (dataset / split / folder).mkdir(parents=True)
            for number in range(1, count + 1):
                file = f"{split}/{folder}/{folder.rpartition('/')[2]}_{number:03d}.jpg"
                photograph(60, 40, fine * 100 + len(split) * 10 + number).save(dataset / file)
                lines.append(f"{file}, {fine}, {coarse}" if numbers else file)
        (dataset / f"{split}.txt").write_text("\n".join(lines) + "\n")
    if table:
        titles = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int)\n"
        rows = (f"{folder.rpartition('/')[2]},{fine},x,{coarse}\n" for folder, (fine, coarse) in GROCERIES.items())
        (dataset / "classes.csv").write_text(titles + "".join(rows))
    return dataset


@pytest.fixture
def dataset(tmp_path):
    return write_groceries(tmp_path / "published")


def write_caltech(categories, counts):
    for name, count in counts.items():
        (categories / name).mkdir(parents=True)
        for number in range(1, count + 1):
            photograph(30, 20, number).save(categories / name / f"image_{number:04d}.jpg")


@pytest.fixture
def caltech(tmp_path):
    """torchvision's root."""
    counts = {"BACKGROUND_Google": 3, "Faces": 20, "Leopards": 7, "accordion": 2}
    write_caltech(tmp_path / "published" / "caltech101" / "101_ObjectCategories", counts)
    return tmp_path / "published"


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("numbers", [True, False])
def test_groceries_become_train_val_and_dev(tmp_path, numbers):
    dataset = write_groceries(tmp_path / "published", numbers=numbers, table=numbers)
    classes, splits = prepare_groceries(dataset, tmp_path / "out")
    assert classes == ("Banana", "Golden-Delicious", "Valio-Vanilla-Yoghurt")
    assert [(split.name, split.images, split.classes) for split in splits] == [
        ("train", 9, 3),
        ("val", 6, 3),
        ("dev", 2, 2),
    ]
    train, val = open_dataset(tmp_path / "out")
    assert train.classes == val.classes == classes
    for ours, published in (("train", "train"), ("val", "test"), ("dev", "val")):
        expected = {
            f"{path.parent.name}/{path.name}": path.read_bytes() for path in (dataset / published).rglob("*.jpg")
        }
        assert files(tmp_path / "out" / ours) == expected


def test_the_repository_itself_is_taken_too(dataset, tmp_path):
    prepare_groceries(dataset, tmp_path / "a")
    prepare_groceries(dataset.parent, tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_lists_may_have_blanks_repeats_and_other_line_ends(dataset, tmp_path):
    lines = (dataset / "train.txt").read_text().splitlines()
    lines[0] = lines[0].replace(", ", ",") + "  "
    (dataset / "train.txt").write_bytes("\r\n".join(["\ufeff" + lines[0], "", *lines[1:], lines[0]]).encode())
    _, (train, *_) = prepare_groceries(dataset, tmp_path / "out")
    assert train.images == 9


@pytest.mark.parametrize("line", ["../other/Kiwi/a.jpg", "train/../../Kiwi/a.jpg, 7, 3", "/etc/Kiwi/a.jpg"])
def test_a_line_that_leaves_the_folder_is_refused(dataset, tmp_path, line):
    with open(dataset / "train.txt", "a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=r"train\.txt, line 10: '.*a\.jpg' leaves the folder"):
        prepare_groceries(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"val\.txt: lists no images"),
        (" \n\n", r"val\.txt: lists no images"),
        ("apple.jpg, 0, 0\n", "line 1: 'apple.jpg' has no folder to name its class"),
        (", 0, 0\n", "line 1: '.' has no folder"),
        ("val/Fruit/Banana/notes.txt\n", "line 1: 'val/Fruit/Banana/notes.txt' does not have the name of an image"),
        ("\xff\xfe", r"val\.txt: not a text in UTF-8"),
    ],
)
def test_a_list_without_images_is_refused(dataset, tmp_path, text, message):
    (dataset / "val.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        prepare_groceries(dataset, tmp_path / "out")


def test_missing_files_are_counted_and_the_first_named(dataset, tmp_path):
    shutil.rmtree(dataset / "test" / "Fruit")
    with pytest.raises(
        DataError, match=r"4 of the 17 listed files are missing, the first test/Fruit/Apple/.*_001\.jpg"
    ):
        prepare_groceries(dataset, tmp_path / "out")


def test_an_image_in_two_lists_is_refused(dataset, tmp_path):
    shutil.copy(dataset / "train.txt", dataset / "test.txt")
    with pytest.raises(DataError, match=r"two of the lists name train/Fruit/Apple/.*_001\.jpg"):
        prepare_groceries(dataset, tmp_path / "out")


def test_another_layout_is_refused_with_what_was_looked_for(dataset, tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        prepare_groceries(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(DataError, match=r"neither it nor dataset/ in it holds train\.txt, test\.txt, val\.txt"):
        prepare_groceries(tmp_path, tmp_path / "out")
    (dataset / "test.txt").unlink()
    with pytest.raises(DataError, match=r"dataset: no test\.txt in it"):
        prepare_groceries(dataset.parent, tmp_path / "out")


def test_classes_that_differ_are_refused(dataset, tmp_path):
    edit(dataset / "classes.csv", "Banana,6", "Plantain,6")
    with pytest.raises(DataError, match=r"classes\.csv: lacks 1 of the 3 classes that the lists name, e\.g\. Banana"):
        prepare_groceries(dataset, tmp_path / "out")
    for name, others in (("test", "test"), ("val", "val")):
        copy = shutil.copytree(dataset, tmp_path / name)
        (copy / others / "Fruit" / "Kiwi").mkdir()
        photograph(8, 8).save(copy / others / "Fruit" / "Kiwi" / "Kiwi_001.jpg")
        with open(copy / f"{name}.txt", "a") as stream:
            stream.write(f"{others}/Fruit/Kiwi/Kiwi_001.jpg, 7, 3\n")
        with pytest.raises(
            DataError, match=rf"only one of train\.txt and {name}\.txt lists 1 of the classes, e\.g\. Kiwi"
        ):
            prepare_groceries(copy, tmp_path / "out")


def test_published_images_are_never_replaced(dataset, tmp_path):
    for out in (dataset, dataset.parent, dataset / "train", dataset / "val" / "Fruit" / "new"):
        with pytest.raises(GFNetError, match="choose another output folder"):
            prepare_groceries(dataset, out, overwrite=True)
    prepare_groceries(dataset, dataset.parent / "prepared")
    assert len(open_splits(dataset.parent / "prepared")[0]) == 9


def test_caltech_is_split_by_class_and_seed(caltech, tmp_path):
    classes, (train, val) = prepare_caltech101(caltech, tmp_path / "out", val_share=0.3)
    assert classes == ("Faces", "Leopards", "accordion")  # without the background
    assert (train.images, val.images) == (14 + 5 + 1, 6 + 2 + 1)
    opened = open_dataset(tmp_path / "out")
    assert opened[0].classes == opened[1].classes == classes
    one, other = files(tmp_path / "out" / "train"), files(tmp_path / "out" / "val")
    assert not one.keys() & other.keys()
    categories = files(caltech / "caltech101" / "101_ObjectCategories")
    assert one | other == {name: data for name, data in categories.items() if "BACKGROUND" not in name}
    prepare_caltech101(caltech, tmp_path / "again", val_share=0.3)
    assert files(tmp_path / "again") == files(tmp_path / "out")
    prepare_caltech101(caltech, tmp_path / "other", val_share=0.3, seed=1)
    assert files(tmp_path / "other" / "val").keys() != other.keys()


def test_one_image_more_changes_no_other_class(caltech, tmp_path):
    prepare_caltech101(caltech, tmp_path / "before")
    photograph(30, 20).save(caltech / "caltech101" / "101_ObjectCategories" / "Faces" / "image_0021.jpg")
    prepare_caltech101(caltech, tmp_path / "after")
    for name in ("Leopards", "accordion"):
        assert files(tmp_path / "before" / "val" / name) == files(tmp_path / "after" / "val" / name)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_every_class_is_in_both_splits_whatever_the_share(caltech, tmp_path, share):
    prepare_caltech101(caltech, tmp_path / "out", val_share=share)
    for split in open_splits(tmp_path / "out"):
        assert len(set(split.labels.tolist())) == 3


def test_caltech_is_found_at_every_level(caltech, tmp_path):
    shutil.copytree(caltech / "caltech101" / "101_ObjectCategories", tmp_path / "renamed")
    levels = (caltech, caltech / "caltech101", caltech / "caltech101" / "101_ObjectCategories", tmp_path / "renamed")
    found = []
    for number, source in enumerate(levels):
        prepare_caltech101(source, tmp_path / str(number))
        found.append(files(tmp_path / str(number)))
    assert all(each == found[0] for each in found)
    with pytest.raises(DataError, match="not 101_ObjectCategories/, nor does it hold that"):
        prepare_caltech101(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        prepare_caltech101(tmp_path / "nowhere", tmp_path / "out")


def test_a_class_of_one_image_or_no_class_is_refused(tmp_path):
    categories = tmp_path / "101_ObjectCategories"
    write_caltech(categories, {"BACKGROUND_Google": 2})
    with pytest.raises(DataError, match="no class but BACKGROUND_Google"):
        prepare_caltech101(categories, tmp_path / "out")
    write_caltech(categories, {"ant": 2, "bass": 1})
    with pytest.raises(DataError, match="bass: a single image cannot be in train and val"):
        prepare_caltech101(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_a_share_that_leaves_a_split_empty_is_refused(caltech, tmp_path, share):
    with pytest.raises(ConfigError, match=f"share {share} leaves a split empty"):
        prepare_caltech101(caltech, tmp_path / "out", val_share=share)
    with pytest.raises(ConfigError, match="seed -1 is negative"):
        prepare_caltech101(caltech, tmp_path / "out", seed=-1)


@pytest.fixture
def two_sets(tmp_path):
    """Prepared folders that share the class ``kiwi`` and a file's name in it."""
    for number, (root, classes) in enumerate({"a": ("apple", "kiwi"), "b": ("kiwi", "zebra")}.items()):
        for split in ("train", "val", "dev"):
            for name in classes:
                (tmp_path / root / split / name).mkdir(parents=True)
                photograph(30, 20, number).save(tmp_path / root / split / name / "001.jpg")
    return tmp_path / "a", tmp_path / "b"


def test_joined_folders_have_the_classes_of_all(two_sets, tmp_path):
    classes, splits = join_folders(two_sets, tmp_path / "out")
    assert classes == ("apple", "kiwi", "zebra")
    assert [(split.name, split.images, split.classes) for split in splits] == [("train", 4, 3), ("val", 4, 3)]
    for split in open_dataset(tmp_path / "out"):
        assert split.classes == classes
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [RECORD, "train", "val"]
    a, b = two_sets
    kiwis = tmp_path / "out" / "val" / "kiwi"
    assert (kiwis / "001.jpg").samefile(a / "val" / "kiwi" / "001.jpg")
    assert (kiwis / "001-2.jpg").samefile(b / "val" / "kiwi" / "001.jpg")
    assert len(list(kiwis.iterdir())) == 2


def test_joining_refuses_what_makes_no_sense(two_sets, tmp_path):
    a, b = two_sets
    with pytest.raises(ConfigError, match="two folders or more"):
        join_folders([a], tmp_path / "out")
    with pytest.raises(ConfigError, match="given twice"):
        join_folders([a, b, tmp_path / "b" / ".." / "a"], tmp_path / "out")
    for out in (a, b / "train", b / "train" / "new", tmp_path):
        with pytest.raises(GFNetError, match="choose another output folder"):
            join_folders([a, b], out, overwrite=True)
    shutil.rmtree(b / "val")
    with pytest.raises(DataError, match="val: no such folder"):
        join_folders([a, b], tmp_path / "out")


def test_the_commands_prepare_and_report(dataset, caltech, tmp_path):
    next((dataset / "train").rglob("Golden*_002.jpg")).write_bytes(b"")
    out = tmp_path / "groceries"
    result = gfnet("prepare", "groceries", dataset.parent, out, "--size", "20", "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert "8 train images of 3 classes" in result.output
    assert "2 dev images of 2 classes" in result.output
    assert "Golden-Delicious_002.jpg: the file is empty" in result.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["size"] == 20
    assert written["classes"] == list(open_split(out / "train").classes)
    assert [(split["name"], split["images"], len(split["unreadable"])) for split in written["splits"]] == [
        ("train", 8, 1),
        ("val", 6, 0),
        ("dev", 2, 0),
    ]
    assert {Image.open(path).size for path in out.rglob("*.jpg")} == {(30, 20)}
    assert "already exists" in one_line(gfnet("prepare", "groceries", dataset, out))
    again = ("prepare", "groceries", dataset, out, "--size", "20", "--overwrite", "--strict")
    assert "the file is empty" in one_line(gfnet(*again))
    assert len(open_split(out / "train")) == 8

    other = tmp_path / "caltech"
    result = gfnet("prepare", "caltech101", caltech, other, "--val-share", "0.5", "--seed", "3")
    assert result.exit_code == 0, result.output
    assert "val images of 3 classes" in result.output
    assert "leaves a split empty" in one_line(gfnet("prepare", "caltech101", caltech, other, "--val-share", "1"))

    result = gfnet("prepare", "join", out, other, tmp_path / "both", "--json", tmp_path / "both.json")
    assert result.exit_code == 0, result.output
    assert "of 6 classes" in result.output
    assert json.loads((tmp_path / "both.json").read_text())["sources"] == [str(out), str(other)]
    assert "two folders or more" in one_line(gfnet("prepare", "join", out, tmp_path / "one"))
