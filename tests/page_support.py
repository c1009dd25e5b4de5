"""Pages looked at: their tags by a parser, and what a real browser makes of them."""

from __future__ import annotations

import html
import html.parser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, and that its tags match."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.images = [], [], 0

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        self.images += tag == "img"
        if tag not in ("meta", "img", "br", "path", "use", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


def browse(page: Path, *, dark: bool = False, script: str = "") -> tuple[str, list[str]]:
    """The page as headless Chromium shows it: its document afterwards, and what it wrote to the console.

    Without a browser the test is skipped; where ``GFNET_BROWSER`` is set it fails.

    Args:
        script: run after the page's own.
    """
    wanted = os.environ.get("GFNET_BROWSER")
    browser = wanted or next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium here; set GFNET_BROWSER to one")
    if script:
        copy = page.with_name(f"scripted-{page.name}")
        copy.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
        page = copy
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--dump-dom",
        "--enable-logging=stderr",
    ]
    options += ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = subprocess.run(
        [browser, *options, "--host-resolver-rules=MAP * ~NOTFOUND", page.resolve().as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)


PHONE = 390
"""Width of a phone's screen, in CSS pixels."""


def overflow(page: Path, *, dark: bool = False, width: int = PHONE) -> int:
    """By how many pixels a page is wider than a screen of ``width``: it lies in a frame of that width meanwhile."""
    framed = page.with_name(f"framed-{page.name}")
    text = html.escape(page.read_text())
    framed.write_text(
        f'<body><iframe style="border:0;width:{width}px;height:800px" srcdoc="{text}"></iframe>'
        "<script>onload = () => {"
        "const root = document.querySelector('iframe').contentDocument.documentElement;"
        "document.body.dataset.widths = `${root.scrollWidth} ${root.clientWidth}`;"
        "}</script></body>"
    )
    document, _ = browse(framed, dark=dark)
    scroll, client = re.search(r'data-widths="(\d+) (\d+)"', document).groups()
    assert int(client) == width
    return int(scroll) - int(client)
