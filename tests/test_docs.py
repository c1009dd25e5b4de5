"""The documentation's links lead somewhere, and its pages are built from what the code says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", "build", "dist", "golden", "runs"} & set(path.relative_to(ROOT).parts)
    and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|<(?:img|a)\b[^>]*(?:src|href)=\"([^\"]+)\"")
MOST_WORDS = 700  # of README.md: two minutes


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may say, as Markdown's own ``toc`` makes it."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


def dead_links(page: Path) -> list[str]:
    links = [one or other for one, other in LINK.findall(CODE.sub("", page.read_text()))]
    dead = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files_and_headings(page):
    assert not dead_links(page)


def test_a_dead_link_is_noticed(tmp_path):
    (tmp_path / "other.md").write_text("# Fine `words`, here\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#fine-words-here) [b](other.md#gone) ![c](gone.png) `[d](e)` [f](https://x.org/gone)\n"
    )
    assert dead_links(page) == ["other.md#gone", "gone.png"]


def test_the_readme_takes_two_minutes():
    assert len((ROOT / "README.md").read_text().split()) < MOST_WORDS


@pytest.fixture(scope="module")
def setup_py() -> ModuleType:
    """setup.py, with a ``setup`` that does nothing."""
    import setuptools

    spec = importlib.util.spec_from_file_location("setup_py", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **_: None)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("source", [None, "https://example.org/gfnet"])
def test_an_index_shows_no_relative_link(setup_py, source):
    text = setup_py.long_description((ROOT / "README.md").read_text(), source)
    links = [one or other for one, other in LINK.findall(CODE.sub("", text))]
    assert links
    assert all(link.startswith("https://") for link in links)
    assert 'pip install "gfnet[runtime]"' in text
    if source:
        assert f"{source}/raw/main/docs/scene.png" in links
        assert f"{source}/blob/main/docs/quickstart.md" in links
    else:
        assert "scene.png" not in text
        assert "[quickstart]" not in text
        assert "quickstart" in text


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        html = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?([^\"\s>]+)", html)
        loaded += re.findall(r"<link\b[^>]*\brel=\"?(?:stylesheet|icon|preconnect)\"?[^>]*>", html)
        assert not [item for item in loaded if "//" in item], page
    cli = (tmp_path / "site" / "reference" / "cli" / "index.html").read_text()
    assert all(f'id="gfnet-{command}"' in cli for command in ("train", "predict", "verify", "bench-compare"))
    assert all(f"<code>{option}</code>" in cli for option in ("--epochs", "--draw", "--retune", "--fail-above"))
    assert "Sentinel" not in cli
    python = (tmp_path / "site" / "reference" / "python" / "index.html").read_text()
    assert 'id="gfnet.inference.predictor.Predictor"' in python
    assert not re.search(r":(class|func|meth|mod|data):<", python)
