"""A checkpoint as a bundle of Core AI assets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from gfnet.checkpoint import Checkpoint
from gfnet_export.bundle.reader import Bundle
from gfnet_export.choices import CoreAIPrecision
from gfnet_export.components import Component
from gfnet_export.coreai.convert import content_files, write_coreai
from gfnet_export.exporting import Form, Written, metadata_of, write_bundle


def export_coreai(
    checkpoint: Checkpoint, out: str | Path, *, precision: CoreAIPrecision = "fp16", overwrite: bool = False
) -> Bundle:
    """Write a network as a bundle of Core AI assets, one for each subgraph.

    Args:
        out: the bundle's folder; it appears whole or not at all.
        precision: of weights and activations; the policy's output stays float32.
        overwrite: replace an existing folder.

    Raises:
        ExportError: a part of the network has no Core AI form, or a weight is larger than float16 holds.
        GFNetError: ``out`` exists, or cannot be written.
    """
    libraries = {name: version(name) for name in ("torch", "coreai-torch", "coreai-core")}
    form = Form("coreai", precision, libraries=libraries)

    def write(components: Sequence[Component], folder: Path) -> Iterable[Written]:
        for component in components:
            path = folder / f"{component.name}.aimodel"
            write_coreai(component, path, precision=precision, metadata=metadata_of(checkpoint, component.role, form))
            yield Written(component, path, content_files(path))

    return write_bundle(checkpoint, Path(out), write, form, overwrite)
