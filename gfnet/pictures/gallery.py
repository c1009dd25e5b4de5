"""A folder of pictures that shows where a network looked, with a page to leaf through them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gfnet.console.progress import Progress
from gfnet.extras import require
from gfnet.files.replacing import atomic_folder
from gfnet.inference.predictor import Predictor
from gfnet.inference.traces import Trace, label_of
from gfnet.pictures.coverage import Coverage
from gfnet.pictures.heatmap import draw_heatmap
from gfnet.pictures.traces import draw_seen, picture_name, true_class

if TYPE_CHECKING:  # an extra: the rest of the package works without it
    import jinja2

PAGE, PICTURES = "index.html", "pictures"
HEATMAPS = {False: "heatmap.png", True: "heatmap-dark.png"}
"""By whether they are drawn for a dark page."""


@dataclass(frozen=True)
class Card:
    """What the page says of one image.

    Attributes:
        image: what the image is called, usually its path.
        picture: the drawing's path inside the gallery, with forward slashes.
        size: its width and height, pixels.
        label: the answer.
        confidence: the answer's.
        exit_step: the step (1 .. T) at which it stopped.
        truth: the class that the image's folder names, if it names one.
    """

    image: str
    picture: str
    size: tuple[int, int]
    label: str
    confidence: float
    exit_step: int
    truth: str | None

    @property
    def correct(self) -> bool | None:
        """Whether the answer is right; ``None`` where the truth is unknown."""
        return None if self.truth is None else self.label == self.truth


@dataclass(frozen=True)
class Gallery:
    """What a gallery holds.

    Attributes:
        folder: where it is.
        network: where the network is kept.
        steps: T.
        thresholds: the exit thresholds; ``None`` if every step was run.
        cards: every image, by exit step, the surest first.
        heatmap: size of the heat map in pixels; ``None`` if no image got a patch.
        unreadable: one message for each image that was left out.
    """

    folder: Path
    network: str
    steps: int
    thresholds: tuple[float, ...] | None
    cards: tuple[Card, ...]
    heatmap: tuple[int, int] | None
    unreadable: tuple[str, ...]

    @property
    def exits(self) -> tuple[int, ...]:
        """Number of images that stopped at each of the T steps."""
        return tuple(sum(card.exit_step == step for card in self.cards) for step in range(1, self.steps + 1))

    def to_dict(self) -> dict[str, Any]:
        """The gallery as JSON-ready values, as ``gfnet visualize --json`` writes it."""
        known = [card for card in self.cards if card.correct is not None]
        return {
            "gallery": str(self.folder),
            "images": len(self.cards),
            "thresholds": None if self.thresholds is None else list(self.thresholds),
            "exits": list(self.exits),
            "known_truths": len(known),
            "correct": sum(card.correct is True for card in known),
            "heatmap": HEATMAPS[False] if self.heatmap else None,
            "pictures": [{**_without_size(card), "correct": card.correct} for card in self.cards],
            "unreadable": list(self.unreadable),
        }


def make_gallery(
    predictor: Predictor,
    images: Sequence[Path],
    out: Path,
    thresholds: Sequence[float] | None = None,
    *,
    network: Path,
    strict: bool = False,
    overwrite: bool = False,
) -> Gallery:
    """Classify images, draw each one's trace as it comes, and write ``out/index.html`` about them.

    Args:
        thresholds: T exit thresholds; ``None`` runs all steps.
        network: where it is kept; the page names it.
        strict: raise at the first image that cannot be read.
        overwrite: replace ``out`` if it is a gallery; see :func:`gfnet.files.replacing.check_folder`.

    Raises:
        GFNetError: jinja2 is not installed; ``out`` exists, holds the network or an image, or cannot be written.
        ImageError: an image cannot be read, with ``strict``.
    """
    _template()  # what is missing shows before the work, not after it
    runner = predictor.runner
    coverage = Coverage(runner.image_size, runner.patch_size, runner.steps)
    cards: list[Card] = []
    unreadable: list[str] = []
    with atomic_folder(out, "gallery", overwrite=overwrite, inputs=(network, *images)) as folder:
        (folder / PICTURES).mkdir()
        with Progress("visualize", len(images), "images") as progress:
            for trace, pixels in predictor.stream(images, thresholds, unreadable=None if strict else unreadable):
                drawn = draw_seen(predictor, trace, pixels)
                picture = f"{PICTURES}/{picture_name(len(cards), trace.image)}"
                drawn.save(folder / picture)
                cards.append(_card(predictor, trace, picture, drawn.size))
                coverage.add(trace)
                progress.advance()
        heatmap = None
        for dark, name in HEATMAPS.items():
            heatmap = draw_heatmap(coverage, dark=dark)
            if heatmap is not None:
                heatmap.save(folder / name)
        gallery = Gallery(
            folder=out,
            network=str(network),
            steps=runner.steps,
            thresholds=None if thresholds is None else tuple(thresholds),
            cards=tuple(sorted(cards, key=lambda card: (card.exit_step, -card.confidence))),
            heatmap=None if heatmap is None else heatmap.size,
            unreadable=tuple(unreadable),
        )
        (folder / PAGE).write_text(render_page(gallery), encoding="utf-8", errors="replace")
    return gallery


def render_page(gallery: Gallery) -> str:
    """The page's HTML.  It refers to files of the gallery only, relative to itself."""
    return _template().render(
        gallery=gallery,
        sections=[
            (step, [card for card in gallery.cards if card.exit_step == step]) for step in range(1, gallery.steps + 1)
        ],
        known=[card for card in gallery.cards if card.correct is not None],
        rule=_rule(gallery),
        heatmap=HEATMAPS[False],
        dark_heatmap=HEATMAPS[True],
    )


def _template() -> jinja2.Template:
    require("jinja2")
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["link"] = quote  # also what HTML would leave alone: # % ?
    environment.filters["share"] = lambda part, whole: f"{100 * part / whole:.0f} %" if whole else "0 %"
    environment.filters["percent"] = lambda value: f"{100 * value:.0f} %"
    return environment.from_string(files("gfnet.pictures").joinpath("gallery.html").read_text(encoding="utf-8"))


def _rule(gallery: Gallery) -> str:
    """When images stopped, in words."""
    if gallery.thresholds is None:
        return "Every step was run on every image, whatever the confidence."
    parts = [
        f"after step {step} {f'if at least {100 * max(limit, 0):.3g} % sure' if limit <= 1 else 'never'}"
        for step, limit in enumerate(gallery.thresholds[:-1], 1)
    ]
    return f"An image stops {', '.join((*parts, f'and always after step {gallery.steps}'))}." if parts else ""


def _card(predictor: Predictor, trace: Trace, picture: str, size: tuple[int, int]) -> Card:
    return Card(
        image=trace.image,
        picture=picture,
        size=size,
        label=label_of(trace.class_index, predictor.labels),
        confidence=trace.confidence,
        exit_step=trace.exit_step,
        truth=true_class(trace.image, predictor.labels),
    )


def _without_size(card: Card) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(card).items() if name != "size"}
