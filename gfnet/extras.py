"""Third-party packages that may be missing, and the extra of gfnet that brings each.

What belongs to an extra is written down in ``setup.cfg`` and nowhere else: it is read from the metadata of the
installed package.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from gfnet.errors import MissingPackageError

_DISTRIBUTIONS = {
    "coreai": "coreai-torch",
    "coreai_torch": "coreai-torch",
    "google": "coremltools",
    "markupsafe": "jinja2",
    "pillow_heif": "pillow-heif",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Packages by a module that is called otherwise, or comes with them."""


def missing_package(module: str, wanted: str | None = None) -> MissingPackageError | None:
    """What to tell a user who lacks ``module``; ``None`` if no extra brings it, so that it is this project's error.

    Args:
        module: its name, a submodule's perhaps.
        wanted: the extra of what the user does; it is named if it brings the module, else the smallest that does.
    """
    top = module.partition(".")[0]
    package = _DISTRIBUTIONS.get(top, top).lower()
    extras = {name: packages for name, packages in _extras().items() if package in packages}
    if not extras:
        return None
    extra = wanted if wanted in extras else min(extras, key=lambda name: (len(extras[name]), name))
    condition = extras[extra][package]
    return MissingPackageError(
        f'this needs {package}, which is not installed; run `pip install "{f"gfnet[{extra}]" if extra else "gfnet"}"`'
        + (f"; there is one only where {condition}" if condition else "")
    )


def require(module: str, wanted: str | None = None) -> None:
    """Find out before long work whether a third-party module is there, without importing it.

    Raises:
        MissingPackageError: it is not.
    """
    if find_spec(module) is None:
        raise missing_package(module, wanted) or ModuleNotFoundError(f"No module named {module!r}", name=module)


def _extras() -> dict[str, dict[str, str]]:
    """Packages by extra, each with what a system must be to have it; those always installed under the empty name."""
    found: dict[str, dict[str, str]] = {}
    try:
        declared = requires("gfnet") or []
    except PackageNotFoundError:  # run from a folder of sources
        declared = []
    for requirement in declared:
        name, _, condition = requirement.partition(";")
        system, _, rest = condition.rpartition(" and ")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", rest)
        package = re.split(r"[^A-Za-z0-9._-]", name.strip(), maxsplit=1)[0].lower()
        found.setdefault(extra[1] if extra else "", {})[package] = system.strip().removeprefix("(").removesuffix(")")
    return found
