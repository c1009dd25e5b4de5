from __future__ import annotations

import dataclasses
import html.parser
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
import weakref
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from gfnet.checkpoint.predictor import torch_predictor
from gfnet.errors import GFNetError, ImageError
from gfnet.pictures.gallery import Card, Gallery, make_gallery, render_page
from gfnet_export.commands.visualize import visualize
from network_support import READABLE, UNREADABLE
from page_support import overflow

ROOT = Path(__file__).parents[3]


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, its pictures and its text, and whether its tags match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.images, self.figures, self.headings, self.text = [], [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[name] for name in ("src", "srcset", "href") if name in values]
        if tag == "img":
            self.images.append(values)
        if tag == "figure":
            self.figures.append(values["class"])
        if tag not in ("meta", "img", "input", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h2", "small"):
            self.headings.append(data.strip())
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def targets(folder, page):
    return [folder / urllib.parse.unquote(link) for link in page.links]


def run(*arguments):
    return CliRunner().invoke(visualize, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def thresholds(checkpoint):
    return checkpoint.evaluation.budgeted[20].thresholds


@pytest.fixture(scope="module")
def made(checkpoint, scenes, thresholds, tmp_path_factory):
    """A gallery of the forty validation scenes, some of which stop at each step."""
    out = tmp_path_factory.mktemp("gallery") / "seen"
    images = sorted((scenes / "val").rglob("*.png"))
    return make_gallery(torch_predictor(checkpoint), images, out, thresholds, network=Path("net.safetensors"))


def test_every_image_has_a_picture_and_every_link_leads_to_a_file(made, tmp_path):
    moved = shutil.copytree(made.folder, tmp_path / "moved elsewhere")
    page = Page((moved / "index.html").read_text())
    assert page.open == []
    assert all(target.is_file() for target in targets(moved, page))
    assert set(targets(moved, page)) == set(moved.rglob("*.png"))
    assert len(made.cards) == 40
    for image in page.images[1:]:
        assert image["loading"] == "lazy"
        with Image.open(moved / image["src"]) as picture:
            assert picture.size == (int(image["width"]), int(image["height"]))


def test_images_are_sorted_by_exit_step_and_the_surest_come_first(made, checkpoint, scenes, thresholds):
    traces = torch_predictor(checkpoint)(sorted((scenes / "val").rglob("*.png")), thresholds)
    expected = sorted((trace.exit_step, -trace.confidence, trace.image) for trace in traces)
    assert [(card.exit_step, -card.confidence, card.image) for card in made.cards] == expected
    assert made.exits == tuple(sum(trace.exit_step == step for trace in traces) for step in (1, 2, 3))
    assert min(made.exits) > 0


def test_sections_count_their_images_and_mark_right_and_wrong(made):
    page = Page((made.folder / "index.html").read_text())
    for step, count in enumerate(made.exits, 1):
        at = page.headings.index(f"Stopped at step {step} of 3")
        assert page.headings[at + 1] == f"{count} image{'' if count == 1 else 's'}, {100 * count / 40:.0f} %"
    right = sum(card.correct for card in made.cards)
    assert page.figures.count("right") == right
    assert page.figures.count("wrong") == 40 - right
    assert page.text.count("✓ right:") == right
    assert f"{right} of 40 right" in page.text


def test_the_page_needs_no_network(made):
    text = (made.folder / "index.html").read_text()
    assert "http" not in text
    assert "@import" not in text
    assert "<script src" not in text


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_runs_off_a_phone_s_screen(made, dark):
    assert overflow(made.folder / "index.html", dark=dark) == 0


def test_pictures_are_named_by_what_they_show(made):
    page = Page((made.folder / "index.html").read_text())
    card = made.cards[0]
    assert page.images[1]["alt"].startswith(f"{card.image}: ")
    assert f"answer {card.label}" in page.images[1]["alt"]


NASTY = """it's "q" <b>&amp; #1 100%?é北"""


def test_names_of_any_kind_are_text_and_their_links_work(tmp_path):
    picture = f"pictures/{NASTY}.png"
    (tmp_path / "pictures").mkdir()
    (tmp_path / picture).touch()
    card = Card(f"folder/{NASTY}.jpg", picture, (10, 10), NASTY, 0.5, 1, f"not {NASTY}")
    gallery = Gallery(tmp_path, NASTY, 2, (0.5, -1e8), (card,), None, (f"{NASTY}: damaged",))
    page = Page(render_page(gallery))
    assert page.open == []
    assert set(targets(tmp_path, page)) == {tmp_path / picture}
    assert page.text.count(NASTY) == 6  # title and network; message; answer, truth and file
    assert "http" not in page.text
    assert page.figures == ["wrong"]


def test_an_answer_without_a_known_truth_is_neither_right_nor_wrong(made):
    unknown = dataclasses.replace(
        made, cards=tuple(dataclasses.replace(card, truth=None) for card in made.cards), heatmap=None
    )
    page = Page(render_page(unknown))
    assert set(page.figures) == {""}
    assert "right" not in page.text
    assert unknown.to_dict()["known_truths"] == 0


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (None, "Every step was run"),
        ((0.8, 1e8, -1e8), "after step 1 if at least 80 % sure, after step 2 never, and always after step 3."),
    ],
)
def test_the_page_says_when_images_stop(made, limits, words):
    assert words in Page(render_page(dataclasses.replace(made, thresholds=limits))).text


def test_images_of_one_name_keep_apart(checkpoint, scenes, tmp_path):
    source = next((scenes / "val").rglob("*.png"))
    images = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        images.append(Path(shutil.copy(source, tmp_path / folder / "same.png")))
    gallery = make_gallery(torch_predictor(checkpoint), images, tmp_path / "out", network=tmp_path / "net")
    assert len({card.picture for card in gallery.cards}) == 2
    assert len(list((tmp_path / "out/pictures").iterdir())) == 2


def test_without_patches_there_is_a_page_and_no_heat_map(checkpoint, scenes, tmp_path):
    images = sorted((scenes / "val").rglob("*.png"))[:3]
    predictor = torch_predictor(checkpoint)
    gallery = make_gallery(predictor, images, tmp_path / "out", (0, 0, 0), network=tmp_path / "net")
    assert gallery.exits == (3, 0, 0)
    assert not (tmp_path / "out/heatmap.png").exists()
    assert "Where patches fall" not in (tmp_path / "out/index.html").read_text()


@pytest.mark.parametrize("held", ["image", "network"])
def test_a_folder_that_holds_what_is_drawn_is_never_replaced(checkpoint, scenes, tmp_path, held):
    image = shutil.copy(next((scenes / "val").rglob("*.png")), tmp_path / "image.png")
    (tmp_path / "out").mkdir()
    network = tmp_path / "net"
    if held == "image":
        image = shutil.move(image, tmp_path / "out/image.png")
    else:
        network = tmp_path / "out/net"
    with pytest.raises(GFNetError, match="which is read"):
        make_gallery(torch_predictor(checkpoint), [Path(image)], tmp_path / "out", network=network, overwrite=True)
    assert Path(image).exists()


def test_an_existing_folder_is_kept_unless_told_otherwise(checkpoint_file, scenes, tmp_path):
    image = next((scenes / "val").rglob("*.png"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(GFNetError, match="--overwrite"):
        run(checkpoint_file, image, "--out", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]
    with pytest.raises(GFNetError, match=r"holds notes\.txt"):
        run(checkpoint_file, image, "--out", tmp_path / "out", "--overwrite")
    for _ in range(2):
        assert run(checkpoint_file, image, "--out", tmp_path / "new", "--overwrite").exit_code == 0
    assert (tmp_path / "new/index.html").exists()


def test_the_command_names_what_it_cannot_read_and_draws_the_rest(checkpoint_file, odd_images, tmp_path):
    out, told = tmp_path / "out", tmp_path / "told.json"
    result = run(checkpoint_file, odd_images, "--out", out, "--json", told, "--all-steps")
    assert result.exit_code == 1
    assert "3 images could not be read" in result.stderr
    values = json.loads(told.read_text())
    assert {Path(entry["image"]).stem for entry in values["pictures"]} == set(READABLE)
    assert values["exits"] == [0, 0, len(READABLE)]
    assert len(values["unreadable"]) == len(UNREADABLE)
    assert all((out / entry["picture"]).is_file() for entry in values["pictures"])
    assert "3 could not be read" in Page((out / "index.html").read_text()).text


def test_strict_stops_at_the_first_and_leaves_nothing(checkpoint_file, odd_images, tmp_path):
    with pytest.raises(ImageError, match=r"empty\.png"):
        run(checkpoint_file, odd_images, "--out", tmp_path / "out", "--strict")
    assert not list(tmp_path.iterdir())


def test_a_bundle_is_visualized_without_torch_and_matplotlib(onnx_bundle, scenes, tmp_path):
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision', 'timm', 'onnx', 'safetensors', 'matplotlib'):\n"
        "            raise ImportError(f'{name} must not be needed')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from gfnet_export.commands.visualize import visualize\n"
        "visualize(sys.argv[1:])\n"
    )
    arguments = [onnx_bundle.folder, scenes / "val", "--out", tmp_path / "out", "--all-steps"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "40 pictures" in done.stdout
    assert len(list((tmp_path / "out/pictures").glob("*.png"))) == 40


def test_a_missing_jinja2_is_one_clear_line(checkpoint_file, odd_images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(GFNetError, match=r"jinja2, which is not installed; run `pip install \"gfnet\[re"):
        run(checkpoint_file, odd_images, "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_of_an_image_but_its_card(checkpoint, scenes, tmp_path, monkeypatch):
    seen, most = [], 0

    def draw(predictor, trace, pixels):
        nonlocal most
        seen.extend((weakref.ref(trace), weakref.ref(pixels), weakref.ref(trace.steps[0].logits)))
        most = max(most, sum(ref() is not None for ref in seen))
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr("gfnet.pictures.gallery.draw_seen", draw)
    images = sorted((scenes / "val").rglob("*.png"))
    make_gallery(torch_predictor(checkpoint, batch_size=4), images, tmp_path / "out", network=tmp_path / "net")
    assert len(seen) == 3 * 40
    assert most <= 3 * 5  # one batch, and the last image of the one before
