from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from gfnet.data import open_split
from gfnet.data.image_folders import shrink, write_image_folder
from gfnet.errors import ConfigError, DataError, GFNetError, ImageError
from gfnet.files.replacing import RECORD
from gfnet.inference import images
from gfnet.inference.images import load_image
from network_support import READABLE, photograph, write_odd_images


@pytest.fixture
def photos(tmp_path):
    """Two classes of photographs, 60 x 40 pixels."""
    for number, name in enumerate(("cat/a.jpg", "cat/b.png", "dog/a.jpg")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        photograph(60, 40, number).save(tmp_path / "in" / name)
    return tmp_path / "in"


def write(photos, out, **options):
    (written,) = write_image_folder(out, {"train": open_split(photos)}, sources=[photos], **options)
    return written


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


def test_files_are_copied_byte_for_byte(photos, tmp_path):
    written = write(photos, tmp_path / "out")
    assert (written.name, written.images, written.classes, written.unreadable) == ("train", 3, 2, ())
    assert files(tmp_path / "out" / "train") == files(photos)
    assert not (tmp_path / "out" / "train" / "cat" / "a.jpg").samefile(photos / "cat" / "a.jpg")


def test_links_are_made_where_they_can_be(photos, tmp_path, monkeypatch):
    photograph(30, 20, 9).save(tmp_path / "elsewhere.png")
    (photos / "dog" / "b.png").symlink_to("../../elsewhere.png")
    write(photos, tmp_path / "linked", link=True)
    assert (tmp_path / "linked" / "train" / "cat" / "a.jpg").samefile(photos / "cat" / "a.jpg")
    assert (tmp_path / "linked" / "train" / "dog" / "b.png").samefile(tmp_path / "elsewhere.png")
    assert not (tmp_path / "linked" / "train" / "dog" / "b.png").is_symlink()

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    write(photos, tmp_path / "copied", link=True)
    assert files(tmp_path / "copied") == files(tmp_path / "linked")
    assert not (tmp_path / "copied" / "train" / "cat" / "a.jpg").samefile(photos / "cat" / "a.jpg")


def test_a_size_limits_the_shorter_side_and_enlarges_nothing(photos, tmp_path):
    photograph(31, 90).save(photos / "dog" / "tall.png")
    photograph(12, 9).save(photos / "dog" / "tiny.png")
    write(photos, tmp_path / "out", size=20)
    sizes = {name: Image.open(tmp_path / "out" / "train" / name).size for name in files(tmp_path / "out" / "train")}
    assert sizes == {
        "cat/a.jpg": (30, 20),
        "cat/b.jpg": (30, 20),
        "dog/a.jpg": (30, 20),
        "dog/tall.jpg": (20, 58),
        "dog/tiny.jpg": (12, 9),
    }


def test_shrinking_keeps_the_picture(tmp_path):
    photograph(600, 400, 1).save(tmp_path / "large.png")
    smaller = photograph(600, 400, 1).resize((300, 200), Image.Resampling.BICUBIC)
    difference = np.abs(np.int16(load_image(shrink(tmp_path / "large.png", 200))) - np.int16(smaller))
    assert difference.mean() < 2  # of 255: what JPEG loses of such colours


def test_shrinking_takes_every_kind_of_image_and_turns_it_upright(odd_images):
    for name in READABLE:
        (path,) = odd_images.glob(f"{name}.*")
        picture = load_image(shrink(path, 45))
        assert min(picture.size) == min(45, *load_image(path).size), name
    with Image.open(odd_images / "rotated.jpg") as stored:
        assert stored.size == (120, 90)
    assert load_image(shrink(odd_images / "rotated.jpg", 45)).size == (45, 60)


def test_an_image_too_long_for_jpeg_is_an_image_error(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_ASPECT", 70_000)  # within the limits it would be of 70 megapixels
    Image.new("RGB", (70_000, 1)).save(tmp_path / "long.png")
    with pytest.raises(ImageError, match=r"long\.png: 70000 x 1 pixels cannot be written as JPEG"):
        shrink(tmp_path / "long.png", 10)


def test_names_that_collide_are_told_apart(photos, tmp_path):
    for number, name in enumerate(("cat/a.png", "cat/A.JPG", "cat/sub/a.jpg", "cat/a-2.jpg")):
        (photos / name).parent.mkdir(exist_ok=True)
        photograph(60, 40, 10 + number).save(photos / name)
    write(photos, tmp_path / "kept")
    write(photos, tmp_path / "small", size=20)
    for folder in ("kept", "small"):
        names = [path.name for path in (tmp_path / folder / "train" / "cat").iterdir()]
        assert len({name.casefold() for name in names}) == 6, names
    kept = files(tmp_path / "kept" / "train" / "cat")
    assert sorted(kept.values()) == sorted(files(photos / "cat").values())
    assert {"b.png", "A.JPG", "a-2.jpg", "a.png"} <= set(kept)


def test_unreadable_images_are_left_out_and_named(tmp_path):
    write_odd_images(tmp_path / "in" / "thing")
    written = write(tmp_path / "in", tmp_path / "out", size=50)
    assert sorted(message.split(":")[0].rsplit("/", 1)[1] for message in written.unreadable) == [
        "empty.png",
        "text.jpg",
        "truncated.jpg",
    ]
    assert written.images == len(open_split(tmp_path / "out" / "train")) == len(files(tmp_path / "out"))
    with pytest.raises(ImageError):
        write(tmp_path / "in", tmp_path / "strict", size=50, strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_class_without_a_readable_image_is_refused(photos, tmp_path):
    (photos / "dog" / "a.jpg").write_bytes(b"text")
    with pytest.raises(DataError, match=r"train/dog: none of its images can be read, e\.g\. .*dog/a\.jpg"):
        write(photos, tmp_path / "out", size=20)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_an_existing_folder_is_replaced_only_when_asked(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(GFNetError, match="already exists"):
        write(photos, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").exists()
    with pytest.raises(GFNetError, match=r"holds mine\.txt"):
        write(photos, tmp_path / "out", overwrite=True)
    (tmp_path / "out" / "mine.txt").unlink()
    write(photos, tmp_path / "out")
    write(photos, tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [RECORD, "train"]


def test_the_images_themselves_are_never_replaced(photos):
    for out in (photos, photos.parent, photos / "cat", photos / "cat" / "new"):
        with pytest.raises(GFNetError, match="choose another output folder"):
            write(photos, out, overwrite=True)
    assert len(files(photos)) == 3


def test_a_full_disk_or_an_interruption_leaves_nothing(photos, tmp_path, monkeypatch):
    threads = threading.active_count()
    for trouble in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fail(*_, trouble=trouble):
            raise trouble

        monkeypatch.setattr("pathlib.Path.write_bytes", fail)
        with pytest.raises((GFNetError, KeyboardInterrupt)) as raised:
            write(photos, tmp_path / "out")
        if isinstance(trouble, OSError):
            assert f"{tmp_path / 'out'}: cannot write (No space left on device)" in str(raised.value)
        assert [path.name for path in tmp_path.iterdir()] == ["in"]
        assert threading.active_count() == threads  # no writer is left behind


def test_a_size_of_nothing_is_refused(photos, tmp_path):
    with pytest.raises(ConfigError, match="--size 0 leaves no pixels"):
        write(photos, tmp_path / "out", size=0)
