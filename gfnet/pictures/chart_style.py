"""How every chart looks; values for matplotlib, which is not needed to read them."""

from __future__ import annotations

from typing import Any

INK, GRID, ACCENT, QUIET = "#101010", "#c0c0c1", "#3b82f6", "#808081"

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
"""For ``matplotlib.rc_context``."""
