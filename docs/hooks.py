"""References in docstrings, such as ``:class:`gfnet.errors.ImageError```, as links or as code on the built pages."""

import re


def on_page_content(html: str, **_: object) -> str:
    """Link a reference to its entry where the page has one."""

    def link(match: re.Match[str]) -> str:
        target = match[1].removeprefix("~")
        name = f"<code>{target.rsplit('.', 1)[-1] if match[1].startswith('~') else target}</code>"
        return f'<a href="#{target}">{name}</a>' if f'id="{target}"' in html else name

    return re.sub(r":(?:class|func|meth|mod|data|attr|exc):<code>([^<]+)</code>", link, html)
