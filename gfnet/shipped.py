"""Trained networks that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "networks"


def shipped_names() -> tuple[str, ...]:
    """Their names, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.safetensors")))


def shipped_network(name: str | Path) -> Path | None:
    """The checkpoint called ``name``; ``None`` if no shipped network has that name."""
    return _FOLDER / f"{name}.safetensors" if str(name) in shipped_names() else None


def checkpoint_path(name: str | Path) -> Path:
    """The file ``name``; where there is no file of that name, the shipped network's.

    A folder so called, of photos perhaps, hides no network.
    """
    path = Path(name)
    return path if path.is_file() else shipped_network(name) or path
