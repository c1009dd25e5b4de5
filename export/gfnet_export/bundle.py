"""A bundle: a folder with one exported network and its ``manifest.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gfnet.errors import BundleError
from gfnet_export.manifest import SCHEMA_VERSION, Manifest, Subgraph

MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_SHOWN_PROBLEMS = 3


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, its manifest read and its files verified.

    Attributes:
        folder: where it lies.
        manifest: what it says of itself.
    """

    folder: Path
    manifest: Manifest

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


def open_bundle(folder: str | Path) -> Bundle:
    """Read a bundle and check every file against its digest.

    Raises:
        BundleError: it is missing, of another schema version, inconsistent, incomplete or altered.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such bundle folder")
    if not path.is_file():
        raise BundleError(f"{folder}: no {MANIFEST} in this folder; `gfnet export` makes a bundle")
    bundle = Bundle(folder, _read_manifest(path))
    for subgraph in bundle.manifest.subgraphs:
        for name, digest in subgraph.sha256.items():
            file = folder / name
            if not file.is_file():
                raise BundleError(f"{file}: named in the manifest, but missing; copy the whole bundle again")
            if sha256_of(file) != digest:
                raise BundleError(f"{file}: differs from the manifest's digest; copy the bundle or export it again")
    return bundle


def sha256_of(file: Path) -> str:
    """A file's digest, 64 hexadecimal digits."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_manifest(path: Path) -> Manifest:
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: too large for a manifest; export the bundle again")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: no JSON ({error}); copy the bundle again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema version {version!r}, but this release reads {SCHEMA_VERSION}; "
            "export the bundle again or use the release that wrote it"
        )
    try:
        # From JSON text: strictness differs for Python values, where a tuple is no list.
        return Manifest.model_validate_json(json.dumps(content))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'manifest'}: {problem['msg']}" for problem in error.errors()
        ]
        more = f" and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        raise BundleError(f"{path}: {'; '.join(problems[:_SHOWN_PROBLEMS])}{more}") from error
