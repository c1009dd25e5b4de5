"""The long description: README.md as a package index shows it, where relative links and pictures lead nowhere.

With a ``Source`` among ``project_urls`` in setup.cfg, links lead there instead of being taken out.
"""

import configparser
import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def long_description(readme: str, source: str | None) -> str:
    """``readme`` with its relative links made absolute, or plain text where there is no address of the repository."""
    readme = readme.replace('pip install ".[', 'pip install "gfnet[')  # from the index, not from a copy
    if source is None:
        readme = re.sub(r'<img\b[^>]*\bsrc="(?!https?://)[^>]*>\n*|!\[[^\]]*\]\((?!https?://)[^)]*\)\n*', "", readme)
        return re.sub(r"\[([^\]]*)\]\((?!https?://|#)[^)]*\)", r"\1", readme)
    readme = re.sub(r'(<img\b[^>]*\bsrc=")(?!https?://)', rf"\g<1>{source}/raw/main/", readme)
    return re.sub(r"(\[[^\]]*\]\()(?!https?://|#)", rf"\g<1>{source}/blob/main/", readme)


def source_url() -> str | None:
    """The repository's public address, if setup.cfg has one."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    urls = config.get("metadata", "project_urls", fallback="")
    named = (line.partition("=") for line in urls.splitlines())
    return next((url.strip().rstrip("/") for name, _, url in named if name.strip() == "Source"), None)


setup(long_description=long_description((ROOT / "README.md").read_text("utf-8"), source_url()))
