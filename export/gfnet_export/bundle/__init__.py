"""A bundle: a folder that holds one exported network, its subgraphs and ``manifest.json``.  Needs no torch."""

from __future__ import annotations

from gfnet_export.bundle.manifest import Manifest
from gfnet_export.bundle.reader import Bundle, is_bundle, open_bundle

__all__ = ["Bundle", "Manifest", "is_bundle", "open_bundle"]
