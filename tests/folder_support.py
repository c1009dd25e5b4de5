"""Folders of output, as a command writes them."""

from __future__ import annotations

from gfnet.files.replacing import atomic_folder


def write(out, *names, kind="scenes", **options):
    with atomic_folder(out, kind, **options) as folder:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)


def listed(folder):
    """All that is there, links and records included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
