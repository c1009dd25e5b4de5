"""Charts as SVG text: in colours that follow the page's light or dark scheme, with points that say what they are."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from gfnet.pictures.chart_style import GRID, INK, QUIET, STYLE

_VARIABLES = {INK: "var(--ink)", GRID: "var(--line)", QUIET: "var(--faint)"}
SVG_STYLE: Any = {
    **STYLE,
    "svg.fonttype": "none",  # text stays text: searchable, and in the page's own font
    "svg.hashsalt": "gfnet",  # the same chart is the same file
}
"""For ``matplotlib.rc_context``."""


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Figure, Any]]:
    """A figure of some inches and its axes, in the style of all charts, on no ground of its own."""
    with mpl.rc_context(SVG_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        yield figure, axes


def to_svg(figure: Figure, name: str, tips: Mapping[str, str] | None = None) -> Markup:
    """A figure as SVG text.

    Args:
        name: unique on the page; what the chart refers to inside itself begins with it.
        tips: text shown when the pointer is over the artists with that ``gid``.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    for gid, tip in (tips or {}).items():
        said = escape(tip)
        text = text.replace(
            f'<g id="{gid}">', f'<g id="{gid}" class="point" tabindex="0" data-tip="{said}"><title>{said}</title>'
        )
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    return Markup(re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text))
