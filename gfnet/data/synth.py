"""Synthetic scenes: one class-giving badge among distractors.

The demo data of this project, made rather than downloaded.  A scene is a cluttered field of coloured
shapes with one pale badge on it; the dark glyph on the badge is the class.  On about a third of the
scenes the badge is large and the glyph survives shrinking, so a glance is enough.  On the others it is
small: the shrunk image still shows where the badge is, but only a patch at full resolution shows what
is on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from gfnet.console.progress import Progress
from gfnet.errors import ConfigError
from gfnet.files.replacing import atomic_folder

CLASSES = (
    "arrow",
    "bars",
    "crescent",
    "cross",
    "disc",
    "hourglass",
    "ring",
    "square",
    "star",
    "triangle",
)
SPLITS = ("train", "val")
SCENES = "generated scenes"
"""What the folder is called in messages and in its record."""

_SUPERSAMPLING = 2  # scenes are drawn this much larger and shrunk, for smooth edges
_MIN_SIZE = 48
_NOISE = 8  # standard deviation of every pixel's value, of 255
_INK_SHARE = 0.2  # of a glyph's square: alike for all, so that a blurred badge's darkness tells nothing


@dataclass(frozen=True)
class SceneConfig:
    """What a generated dataset looks like.

    Attributes:
        size: side of the square scenes in pixels.
        large_share: fraction of scenes whose badge can be read at a glance, in [0, 1].
        large_badge: smallest and largest diameter of such a badge, as a fraction of ``size``.
        small_badge: the same for the badges that need a closer look.
        distractors: fewest and most distractors in a scene.

    Raises:
        ConfigError: a value is out of range.
    """

    size: int = 120
    large_share: float = 1 / 3
    large_badge: tuple[float, float] = (0.42, 0.6)
    small_badge: tuple[float, float] = (0.09, 0.11)
    distractors: tuple[int, int] = (9, 15)

    def __post_init__(self) -> None:
        if self.size < _MIN_SIZE:
            raise ConfigError(f"scene size {self.size} is too small to draw; use {_MIN_SIZE} pixels or more")
        if not 0 <= self.large_share <= 1:
            raise ConfigError(f"large_share {self.large_share} is not a fraction; use a value from 0 to 1")


def draw_scene(class_index: int, rng: np.random.Generator, config: SceneConfig | None = None) -> Image.Image:
    """Draw one scene.

    Args:
        class_index: index into :data:`CLASSES`, the glyph on the badge.
        rng: source of everything random.
        config: the look; the default is :class:`SceneConfig`'s.

    Returns:
        An RGB image of ``config.size`` pixels a side.
    """
    config = config or SceneConfig()
    side = config.size * _SUPERSAMPLING
    scene = _background(side, rng)
    canvas = ImageDraw.Draw(scene)
    for _ in range(int(rng.integers(config.distractors[0], config.distractors[1] + 1))):
        _draw_distractor(canvas, side, rng)
    is_large = rng.random() < config.large_share
    lower, upper = config.large_badge if is_large else config.small_badge
    diameter = rng.uniform(lower, upper) * side
    centre = rng.uniform(diameter / 2, side - diameter / 2, 2)
    _draw_badge(scene, class_index, centre, diameter, rng)
    small = scene.resize((config.size, config.size), Image.Resampling.BOX)
    noise = _NOISE * rng.standard_normal((config.size, config.size, 3), np.float32)
    return Image.fromarray(np.clip(np.asarray(small) + noise, 0, 255).astype(np.uint8))


def write_scenes(
    out: str | Path,
    *,
    train: int = 4000,
    val: int = 1000,
    seed: int = 0,
    config: SceneConfig | None = None,
    overwrite: bool = False,
) -> None:
    """Write an image folder ``out/{train,val}/<class>/<number>.png``, the classes in equal shares.

    The same arguments give the same pixels.  The folder appears whole or not at all.

    Args:
        train: number of training scenes.
        val: number of validation scenes.
        seed: any non-negative integer.
        overwrite: replace ``out`` if it is an earlier result of this; see :func:`gfnet.files.replacing.check_folder`.

    Raises:
        ConfigError: fewer scenes than classes, or a negative seed.
        GFNetError: ``out`` exists, or cannot be written.
    """
    for name, count in (("train", train), ("val", val)):
        if count < len(CLASSES):
            raise ConfigError(f"{count} {name} scenes do not cover {len(CLASSES)} classes; ask for more")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; use 0 or more")
    with (
        atomic_folder(out, SCENES, overwrite=overwrite) as folder,
        Progress("synth", train + val, "scenes") as progress,
    ):
        for split_index, (split, count) in enumerate(zip(SPLITS, (train, val), strict=True)):
            for name in CLASSES:
                (folder / split / name).mkdir(parents=True)
            for number in range(count):
                class_index = number % len(CLASSES)
                # One generator a scene: a scene does not depend on how many came before it.
                rng = np.random.default_rng((seed, split_index, number))
                scene = draw_scene(class_index, rng, config)
                scene.save(folder / split / CLASSES[class_index] / f"{number:06d}.png", compress_level=1)
                progress.advance()


# -- the background and what clutters it -------------------------------------------------------------


def _colour(rng: np.random.Generator, lightness: tuple[int, int] = (20, 190)) -> tuple[int, int, int]:
    """A saturated colour; badges are pale and grey, so no distractor looks like one."""
    low, high = lightness
    channels = [int(rng.integers(low, low + 50)), int(rng.integers(low, high)), int(rng.integers(high - 40, high))]
    order = rng.permutation(3)
    return channels[order[0]], channels[order[1]], channels[order[2]]


def _background(side: int, rng: np.random.Generator) -> Image.Image:
    corners = np.array([[_colour(rng, (30, 140)) for _ in range(2)] for _ in range(2)], np.uint8)
    return Image.fromarray(corners).resize((side, side), Image.Resampling.BICUBIC)


def _draw_distractor(canvas: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    centre = rng.uniform(0, side, 2)
    radius = rng.uniform(0.03, 0.12) * side
    colour = _colour(rng)
    kind = int(rng.integers(4))
    if kind == 0:
        canvas.ellipse(_box(centre, radius), fill=colour)
    elif kind == 1:
        canvas.ellipse(_box(centre, radius), outline=colour, width=max(1, int(radius * 0.4)))
    elif kind == 2:
        corners = int(rng.integers(3, 7))
        canvas.polygon(_regular_polygon(centre, radius, corners, rng.uniform(0, 2 * math.pi)), fill=colour)
    else:
        angle = rng.uniform(0, math.pi)
        offset = np.array([math.cos(angle), math.sin(angle)]) * radius * 1.6
        line = [tuple(centre - offset), tuple(centre + offset)]
        canvas.line(line, fill=colour, width=max(1, int(radius * 0.4)))


def _draw_badge(
    scene: Image.Image, class_index: int, centre: np.ndarray, diameter: float, rng: np.random.Generator
) -> None:
    shade = int(rng.integers(225, 256))
    ink = tuple(int(v) for v in rng.integers(0, 50, 3))
    radius = diameter / 2
    canvas = ImageDraw.Draw(scene)
    canvas.ellipse(_box(centre, radius), fill=(shade, shade, shade))
    glyph = _glyph_mask(class_index, round(diameter), rng.uniform(0.9, 1.05), rng.uniform(-10, 10))
    scene.paste(
        Image.new("RGB", glyph.size, ink), (int(centre[0] - glyph.width / 2), int(centre[1] - glyph.height / 2)), glyph
    )


# -- the ten glyphs, drawn on a unit square whose middle is (0.5, 0.5) ---------------------------------


def _glyph_mask(class_index: int, diameter: int, scale: float, degrees: float) -> Image.Image:
    name = CLASSES[class_index]
    side = round(diameter * scale * math.sqrt(_INK_SHARE / _ink_share(name)))
    return _glyph(name, side).rotate(degrees, Image.Resampling.BICUBIC, expand=True)


def _glyph(name: str, side: int) -> Image.Image:
    mask = Image.new("L", (side, side), 0)
    _GLYPHS[name](ImageDraw.Draw(mask), side)
    return mask


@cache
def _ink_share(name: str) -> float:
    """The fraction of its square that a glyph covers, as drawn."""
    return float(np.asarray(_glyph(name, 256)).mean()) / 255


_Glyph = Callable[[ImageDraw.ImageDraw, int], None]
"""Draws in white on a canvas of so many pixels a side."""


def _box(centre: tuple[float, float] | np.ndarray, radius: float) -> tuple[float, float, float, float]:
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def _regular_polygon(
    centre: tuple[float, float] | np.ndarray, radius: float, corners: int, turn: float
) -> list[tuple[float, float]]:
    angles = turn + 2 * math.pi * np.arange(corners) / corners
    return [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]


def _polygon(*points: tuple[float, float]) -> _Glyph:
    return lambda canvas, side: canvas.polygon([(x * side, y * side) for x, y in points], fill=255)


def _disc(radius: float, x: float = 0.5, y: float = 0.5, fill: int = 255) -> _Glyph:
    return lambda canvas, side: canvas.ellipse(_box((x * side, y * side), radius * side), fill=fill)


def _all(*parts: _Glyph) -> _Glyph:
    def draw(canvas: ImageDraw.ImageDraw, side: int) -> None:
        for part in parts:
            part(canvas, side)

    return draw


def _bar(left: float, top: float, right: float, bottom: float) -> _Glyph:
    return _polygon((left, top), (right, top), (right, bottom), (left, bottom))


def _star(canvas: ImageDraw.ImageDraw, side: int) -> None:
    outer = _regular_polygon((0.5, 0.5), 0.38, 5, -math.pi / 2)
    inner = _regular_polygon((0.5, 0.5), 0.15, 5, -math.pi / 2 + math.pi / 5)
    _polygon(*[point for pair in zip(outer, inner, strict=True) for point in pair])(canvas, side)


_GLYPHS: dict[str, _Glyph] = {
    "arrow": _all(_polygon((0.5, 0.14), (0.8, 0.5), (0.2, 0.5)), _bar(0.41, 0.45, 0.59, 0.86)),
    "bars": _all(_bar(0.24, 0.22, 0.36, 0.78), _bar(0.44, 0.16, 0.56, 0.84), _bar(0.64, 0.22, 0.76, 0.78)),
    "cross": _all(_bar(0.42, 0.15, 0.58, 0.85), _bar(0.15, 0.42, 0.85, 0.58)),
    "crescent": _all(_disc(0.34), _disc(0.28, x=0.66, fill=0)),
    "disc": _disc(0.3),
    "hourglass": _polygon((0.24, 0.16), (0.76, 0.16), (0.24, 0.84), (0.76, 0.84)),
    "ring": _all(_disc(0.36), _disc(0.22, fill=0)),
    "square": _bar(0.25, 0.25, 0.75, 0.75),
    "star": _star,
    "triangle": _polygon((0.5, 0.15), (0.83, 0.76), (0.17, 0.76)),
}
