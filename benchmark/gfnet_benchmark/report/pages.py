"""Self-contained HTML pages from templates."""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """A page of ``templates/`` with values put in; it needs no network and no other file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gfnet_benchmark"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["mega"] = lambda value: f"{value / 1e6:.1f} M"
    environment.filters["megabytes"] = lambda value: f"{value / 1e6:.2f} MB"
    # Inside of a script element nothing ends it but this sequence.
    environment.filters["safe_json"] = lambda text: Markup(text.replace("<", "\\u003c"))
    environment.filters["ms"] = lambda value: f"{value:.3f}"
    page = environment.get_template(template).render(**values)
    return page.encode("utf-8", "backslashreplace").decode("utf-8")  # names of files need not be UTF-8
