"""Mends the built pages: references in docstrings become links, and tables of options show only what says something."""

import re
from typing import Any

_ROW = re.compile(r"<tr>(?:(?!</tr>).)*</tr>\s*", re.DOTALL)
_EMPTY_OPTIONS = re.compile(r"<p><strong>Options:</strong></p>\s*<table>(?:(?!<td|</table>).)*</table>", re.DOTALL)
_REFERENCE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):<code>([^<]+)</code>")


def on_page_content(html: str, page: Any, **_: object) -> str:
    """Called by mkdocs with each page's HTML."""
    html = _REFERENCE.sub(lambda found: _link(found[1], html), html)
    if page.file.src_uri != "reference/cli.md":
        return html
    # click's mark for an option without a default; and the option that every command has
    html = html.replace("<code>Sentinel.UNSET</code>", "")
    html = _ROW.sub(lambda row: "" if "<code>--help</code>" in row[0] else row[0], html)
    return _EMPTY_OPTIONS.sub("", html)


def _link(name: str, html: str) -> str:
    """The entry of this name on the page, or the name as code."""
    target = name.removeprefix("~")
    shown = f"<code>{target.rsplit('.', 1)[-1] if name.startswith('~') else target}</code>"
    return f'<a href="#{target}">{shown}</a>' if f'id="{target}"' in html else shown
