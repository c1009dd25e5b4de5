from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gfnet.data.classes import label_photos, pair_split
from gfnet.errors import ConfigError, DataError
from network_support import gfnet, one_line


@dataclass(frozen=True)
class Labelled:
    """A split of one image a class."""

    classes: tuple[str, ...]
    named: bool = True
    root: Path = Path("data/val")

    @property
    def labels(self):
        return np.arange(len(self.classes))

    def __len__(self):
        return len(self.classes)


def labels(found, names, count=None, class_map=None, *, named=True):
    """The network's number of each class of the data."""
    count = len(names) if count is None else count
    split = pair_split(Labelled(tuple(found), named), names, count, class_map)
    assert len(split.classes) in (count, len(found))
    return split.labels.tolist()


def refused(found, names, count=None, class_map=None, *, named=True):
    with pytest.raises(DataError) as error:
        labels(found, names, count, class_map, named=named)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def class_file(tmp_path):
    def write(content):
        path = tmp_path / "classes.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


DIGITS = tuple("0123456789")


def test_the_same_names_in_the_same_order_are_the_same_classes():
    split = Labelled(("a", "b"))
    assert pair_split(split, ("a", "b"), 2) is split
    for class_map in ("by-name", "by-number"):
        assert labels(["1", "10", "2"], ["1", "10", "2"], class_map=class_map) == [0, 1, 2]


def test_numeric_folders_of_another_set_are_refused():
    found = sorted([*DIGITS[:9], "10"])
    assert "class 2 is '10' in the data, but '2' to the network; give it the same classes" in refused(found, DIGITS)


@pytest.mark.parametrize(
    ("found", "names", "message"),
    [
        (["a", "hoop", "star"], ["a", "ring", "star"], "class 1 is 'hoop' in the data, but 'ring' to the network"),
        (["a", "c", "b"], ["a", "b", "c"], "class 1 is 'c' .* the network has all of these names: --classes by-name"),
        (["a"], ["a", "b"], "1 classes, but the network has 2; only the network has b"),
        (["a", "b", "x"], ["a", "b"], "3 classes, but the network has 2; only the data has x"),
        (["0", "1"], ["ring", "star"], "class 0 is '0' in the data, but 'ring' to the network"),
        (["ring", "star"], ["0", "1"], "class 0 is 'ring' in the data, but '0' to the network"),
        (["cafe\u0301"], ["caf\u00e9"], r"U\+0065 U\+0301 where the second has U\+00E9\); .*--classes by-name"),
        (["Ring"], ["ring"], "class 0 is 'Ring' in the data, but 'ring' to"),
        (["ring "], ["ring"], "class 0 is 'ring ' in the data"),
        (["a\x1b[2J"], ["a"], r"class 0 is 'a\\x1b\[2J' in the data"),
    ],
)
def test_other_classes_are_refused_with_the_first_that_differs(found, names, message):
    import re

    assert re.search(message, refused(found, names))


def test_a_network_without_names_takes_as_many_classes_and_says_so(caplog):
    assert labels(["a", "b"], None, 2) == [0, 1]
    assert "knows no class names" in caplog.text
    assert "3 classes, but the network has 2; give" in refused(["a", "b", "c"], None, 2)
    assert "'a' is a class, but the network knows no class names" in refused(["a", "b"], None, 2, "by-name")
    assert labels(["1", "0"], None, 2, "by-name") == [1, 0]


def test_shards_without_names_are_taken_by_number_and_that_is_told(caplog):
    assert labels(["0", "1"], None, 3, named=False) == [0, 1]
    assert labels(DIGITS[:8], DIGITS, named=False) == list(range(8))
    assert not caplog.text  # such a network knows its classes by number as well
    assert labels(["0", "1"], ["ring", "star"], named=False) == [0, 1]
    assert "shards without class names, so their class 0 is taken for 'ring' of the network" in caplog.text
    assert labels(["0", "1"], ["ring", "star", "x"], class_map="by-number", named=False) == [0, 1]
    assert "3 classes, but the network has 2; give" in refused(["0", "1", "2"], ["a", "b"], named=False)


def test_by_name_takes_any_order_and_a_part():
    assert labels(["c", "a"], ["a", "b", "c"], class_map="by-name") == [2, 0]
    split = pair_split(Labelled(("c", "a")), ("a", "b", "c"), 3, "by-name")
    assert split.classes == ("a", "b", "c")
    assert labels(["cafe\u0301", "a"], ["a", "caf\u00e9"], class_map="by-name") == [1, 0]
    assert labels(["10", "2"], ["2", "3", "10"], class_map="by-name") == [2, 0]
    assert "'x' is a class, but the network has no class of that name" in refused(
        ["a", "x"], ["a", "b"], None, "by-name"
    )
    assert "calls classes 0 and 2 both 'a'" in refused(["a", "b"], ["a", "b", "a"], None, "by-name")
    assert "are one name" in refused(["cafe\u0301", "caf\u00e9"], ["caf\u00e9"], None, "by-name")


def test_by_number_takes_the_numbers_that_folders_are_called_by_or_their_order():
    found = sorted(map(str, range(12)))
    names = [f"class {number}" for number in range(12)]
    assert labels(found, names, class_map="by-number") == [int(name) for name in found]
    assert labels(["0003", "0001"], names, class_map="by-number") == [3, 1]
    assert labels(["a", "b"], ["x", "y"], class_map="by-number") == [0, 1]
    assert labels(sorted([*DIGITS[:9], "10"]), DIGITS, class_map="by-number") == list(range(10))
    assert "so their order does not match" in refused(["a"], ["x", "y"], None, "by-number")


def test_a_file_maps_names_to_names_or_numbers(class_file):
    path = class_file({"hoop": "ring", "granny smith": "apple", "gala": "apple", "unused": "star", "x": 0})
    names = ["apple", "ring", "star"]
    assert labels(["gala", "granny smith", "hoop", "star", "x"], names, class_map=path) == [0, 0, 1, 2, 0]
    assert "'else' is a class, but the network has no class of that name" in refused(["else"], names, None, path)
    assert "'apel' is a class" in refused(["a"], names, None, class_file({"a": "apel"}))
    assert "has no class 7; it has 0 to 2" in refused(["a"], names, None, class_file({"a": 7}))
    mapped = pair_split(Labelled(("gala", "hoop", "star")), names, 3, class_file({"hoop": "ring", "gala": "apple"}))
    assert mapped.classes == ("apple", "ring", "star")  # the network's, where nothing else differs
    assert labels(["0", "1"], names, class_map=class_file({"0": "star", "1": "apple"}), named=False) == [2, 0]


@pytest.mark.parametrize("content", ["[]", "{}", '{"a": true}', '{"a": 1.5}', '{"a": null}', '{"a": 1, "a": 2}', "{"])
def test_a_file_that_is_no_map_is_refused(class_file, content):
    assert "classes.json: not " in refused(["a"], ["b"], None, class_file(content))


def test_a_word_that_is_no_file_is_refused():
    with pytest.raises(ConfigError, match="--classes by-nam: no such file; give by-name, by-number or a JSON file"):
        labels(["a"], ["a"], class_map="by-nam")


def test_imagenet_s_folders_are_known_by_their_synset_ids():
    from gfnet.checkpoint import imagenet_labels
    from gfnet.data.classes import _synsets

    names, synsets = imagenet_labels(), list(_synsets())
    assert synsets == sorted(synsets)
    assert labels(synsets, names) == list(range(1000))
    assert "10 classes, but the network has 1000" in refused(synsets[:10], names)
    assert labels(["n01443537", "n15075141"], names, class_map="by-name") == [1, 999]
    assert "class 2 is '10' in the data" in refused(sorted(map(str, range(1000))), names).replace(
        "class 0 is '0' in the data, but 'tench' to the network", "class 2 is '10' in the data"
    )
    other = [f"n{number:08d}" for number in range(1000)]
    assert "class 0 is 'n00000000' in the data, but 'tench' to the network" in refused(other, names)


def test_photos_are_labelled_by_their_folders():
    files = [Path("d/star/1.png"), Path("d/ring/2.png"), Path("d/star/3.png")]
    assert label_photos(files, ("ring", "sea", "star"), 3) == [2, 0, 2]
    assert label_photos(files, ("x", "y"), 2) is None
    assert label_photos(files, None, 3) is None
    with pytest.raises(DataError, match="also in star; say with --classes"):
        label_photos(files, ("ring", "sea"), 2)
    assert label_photos(files, ("x", "y"), 2, "by-number") == [1, 0, 1]


def test_photos_folders_map_as_a_file_says(class_file):
    files = [Path("d/star/1.png"), Path("d/hoop/2.png")]
    path = class_file({"hoop": "ring"})
    assert label_photos(files, ("ring", "star"), 2, path) == [1, 0]


@pytest.fixture(scope="module")
def renamed(scenes, tmp_path_factory):
    """The scenes with class ``ring`` called ``hoop``, in both splits."""
    root = tmp_path_factory.mktemp("renamed")
    for split in ("train", "val"):
        (root / split).mkdir()
        for folder in (scenes / split).iterdir():
            (root / split / folder.name.replace("ring", "hoop")).symlink_to(folder)
    return root


def commands(checkpoint_file, bundle, data, tmp_path):
    """Every command that brings a network and labelled images together."""
    return {
        "evaluate": ("evaluate", checkpoint_file, "--data", data, "--save", tmp_path / "saved.safetensors"),
        "calibrate": ("calibrate", checkpoint_file, tmp_path / "calibrated.safetensors", "--data", data),
        "train": (*("train", "--init", checkpoint_file, "--data", data, "--out", tmp_path / "run", "--stage", "2"),),
        "verify": ("verify", bundle, "--against", checkpoint_file, "--images", data / "val", "--retune"),
        "bench onnx": ("bench", "onnx", bundle, "--images", data / "val", "--json", tmp_path / "bench.json"),
        "bench solvers": ("bench", "solvers", checkpoint_file, "--data", data),
    }


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "train", "verify", "bench onnx", "bench solvers"])
def test_every_command_refuses_other_classes_before_a_network_runs(
    command, checkpoint_file, onnx_bundle, renamed, tmp_path, monkeypatch
):
    def run(*_arguments, **_options):
        raise AssertionError("a network was run")

    for place in ("gfnet.network.model.GFNet.glance", "gfnet_export.runtime.onnx_runtime.open_bundle_sessions"):
        monkeypatch.setattr(place, run)
    manifest = (onnx_bundle.folder / "manifest.json").read_bytes()
    asked = commands(checkpoint_file, onnx_bundle.folder, renamed, tmp_path)[command]
    told = one_line(gfnet(*asked))
    assert "hoop" in told
    assert "--classes" in told
    assert not list(tmp_path.iterdir())
    assert (onnx_bundle.folder / "manifest.json").read_bytes() == manifest


def test_a_map_makes_other_classes_the_network_s(checkpoint_file, checkpoint, renamed, class_file, tmp_path):
    asked = ("evaluate", checkpoint_file, "--data", renamed, "--json", tmp_path / "out.json")
    result = gfnet(*asked, "--classes", class_file({"hoop": "ring"}))
    assert result.exit_code == 0, result.output
    assert "knows no class names" not in result.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["anytime_top1"] == list(checkpoint.evaluation.anytime_top1)
    assert [row["label"] for row in written["per_class"]] == list(checkpoint.labels)


def test_a_part_of_the_classes_is_evaluated_by_name(checkpoint_file, checkpoint, scenes, tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for name in ("star", "ring"):
            (tmp_path / split / name).symlink_to(scenes / split / name)
    asked = ("evaluate", checkpoint_file, "--data", tmp_path, "--json", tmp_path / "out.json")
    assert "2 classes, but the network has 10; only the network has" in one_line(gfnet(*asked))
    for search in ((), ("--search-split", "train")):
        result = gfnet(*asked, "--classes", "by-name", *search)
        assert result.exit_code == 0, result.output
        rows = json.loads((tmp_path / "out.json").read_text())["per_class"]
        assert {row["label"] for row in rows if row["images"]} == {"star", "ring"}
        assert len(rows) == 10
