"""A bundle: a folder with one exported network and its ``manifest.json``."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gfnet.errors import BundleError
from gfnet.escaping import one_line
from gfnet.files.digests import UNKNOWN, own_digest, with_own_digest
from gfnet.files.reading import parse_json, read_bytes
from gfnet.files.versioned import check_version, validate
from gfnet.files.writing import write_bytes
from gfnet.limits import MOST_CLASSES
from gfnet.shipped import MANIFEST
from gfnet_export.bundle.manifest import SCHEMA_VERSION, Manifest, Subgraph

_PACKAGE_LIST = "Manifest.json"  # of a Core ML package: which of its files is the model
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024
_MOST_VALUES = 20_000  # besides the labels; each wrong one is a problem of some hundred bytes


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, its manifest read and its files verified.

    Attributes:
        folder: where it lies.
        manifest: what it says of itself.
        manifest_altered: whether the manifest is another than was written; a manifest of an older release does not
            tell.
    """

    folder: Path
    manifest: Manifest
    manifest_altered: bool = False

    def path_of(self, subgraph: Subgraph) -> Path:
        """A subgraph's file or package."""
        return self.folder / subgraph.path

    @property
    def bytes(self) -> int:
        """Size of all files that the manifest names."""
        return sum((self.folder / name).stat().st_size for name in self.files)

    @property
    def files(self) -> set[str]:
        """All content files that the manifest names; subgraphs may share some."""
        return {name for graph in self.manifest.subgraphs for name in graph.sha256}


def is_bundle(path: str | Path) -> bool:
    """Whether ``path`` is a folder with a manifest."""
    return (Path(path) / MANIFEST).is_file()


def open_bundle(folder: str | Path, *, manifest_digest: bool = True) -> Bundle:
    """Read a bundle and check every file against its digest.

    Args:
        manifest_digest: refuse a manifest that was altered; otherwise :attr:`Bundle.manifest_altered` tells of it, for
            those who want to say what was.

    Raises:
        BundleError: it is missing, of another schema version, inconsistent, incomplete or altered, a file in it is a
            link that leads out of it, or a package in it holds more than the manifest says.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such bundle folder")
    if not path.is_file():
        raise BundleError(f"{folder}: no {MANIFEST} in this folder; `gfnet export` makes a bundle")
    _check_file(folder, path)
    bundle = Bundle(folder, *_read_manifest(path))
    if manifest_digest and bundle.manifest_altered:
        raise BundleError(f"{path}: was altered, as its digest differs; copy the bundle or export it again")
    digests = {item for subgraph in bundle.manifest.subgraphs for item in subgraph.sha256.items()}
    for name, digest in sorted(digests):
        file = folder / name
        _check_file(folder, file)
        try:
            found = sha256_of(file)
        except OSError as error:
            raise _unreadable(file, error) from error
        if found != digest:
            raise BundleError(f"{file}: differs from the manifest's digest; copy the bundle or export it again")
    _check_packages(bundle)
    return bundle


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a bundle's manifest with its digest, in place of the old one if there is one.

    Raises:
        GFNetError: it cannot be written.
    """
    text = manifest.model_copy(update={"digest": UNKNOWN}).model_dump_json(indent=2) + "\n"
    write_bytes(folder / MANIFEST, with_own_digest(text.encode()))


def sha256_of(file: Path) -> str:
    """A file's digest, 64 hexadecimal digits."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_file(folder: Path, file: Path) -> None:
    """Refuse what is not a file, and links that lead out of the bundle."""
    try:
        found = file.resolve(strict=True)
        inside = found.is_relative_to(folder.resolve())
        regular = stat.S_ISREG(found.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{file}: named in the manifest, but missing; copy the whole bundle again") from None
    except (OSError, RuntimeError) as error:  # links in a circle are a RuntimeError before Python 3.13
        raise _unreadable(file, error) from error
    if not inside:
        raise BundleError(f"{file}: a link that leads out of the bundle; put the file itself there")
    if not regular:
        raise BundleError(f"{file}: named in the manifest, but not a file; copy the whole bundle again")


def _check_packages(bundle: Bundle) -> None:
    """Refuse files without a digest inside of packages: a package's own list, which has none, could name them."""

    def refuse(error: OSError) -> None:
        raise _unreadable(Path(error.filename), error)

    listed = bundle.files
    packages = {graph.path for graph in bundle.manifest.subgraphs if bundle.path_of(graph).is_dir()}
    for package in sorted(packages):
        for base, folders, names in os.walk(bundle.folder / package, onerror=refuse):
            for file in (Path(base, name) for name in (*folders, *names)):
                name = file.relative_to(bundle.folder).as_posix()
                if name == f"{package}/{_PACKAGE_LIST}":  # rewritten, with other identifiers, when a package is loaded
                    _check_file(bundle.folder, file)
                elif name not in listed and (file.is_symlink() or not file.is_dir()):
                    what = f"{one_line(name)} has no digest in the manifest"
                    raise BundleError(f"{bundle.folder}: {what}; remove it or copy the bundle again")


def _unreadable(file: Path, error: Exception) -> BundleError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
    return BundleError(f"{file}: cannot be read ({reason}); check its permissions or copy the bundle again")


def _read_manifest(path: Path) -> tuple[Manifest, bool]:
    """A manifest, and whether its digest says that it was altered."""

    def refuse(what: str) -> BundleError:
        return BundleError(f"{path}: {what}; export the bundle again or use the release that wrote it")

    text = read_bytes(path, _MAX_MANIFEST_BYTES, BundleError)
    content = parse_json(text, path, BundleError)
    check_version(content, "schema_version", SCHEMA_VERSION, refuse)
    if _has_too_much(content):
        raise refuse("has more values than a manifest can have")
    manifest = validate(Manifest, text, refuse)
    return manifest, manifest.digest is not None and own_digest(text, manifest.digest) != manifest.digest


def _has_too_much(content: dict[str, Any]) -> bool:
    """Whether validation would take long and much memory: pydantic looks at everything before it counts."""
    labels = content.get("labels")
    if isinstance(labels, list) and len(labels) > MOST_CLASSES:
        return True
    waiting = [value for name, value in content.items() if name != "labels"]
    count = len(waiting)
    while waiting and count <= _MOST_VALUES:
        value = waiting.pop()
        inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        count += len(inside)
        waiting += inside
    return count > _MOST_VALUES
