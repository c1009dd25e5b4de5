"""Components as Core AI assets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from gfnet.errors import ExportError
from gfnet.escaping import one_line
from gfnet_export.choices import CoreAIPrecision
from gfnet_export.components import Component
from gfnet_export.coreai.graphs import exported
from gfnet_export.quiet import quietly

with quietly():
    import coreai_torch
    from coreai.authoring import AIProgram
    from coreai.runtime import AIModelAssetMetadata


def write_coreai(
    component: Component,
    path: Path,
    *,
    precision: CoreAIPrecision = "fp16",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write one component as an ``.aimodel``, a folder, with fixed shapes and one function.

    Inputs and outputs are float32 whatever the precision inside.

    Args:
        path: ends in ``.aimodel``.
        metadata: what to tell a person who opens the asset.

    Raises:
        ExportError: a part of the network has no Core AI form.
        OSError: it cannot be written.
    """
    with quietly(), torch.no_grad():
        try:
            program = _converted(component, precision)
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError, NotImplementedError) as error:
            raise ExportError(f"{component.name}: Core AI export failed ({one_line(error)})") from error
        try:
            program.save_asset(path, _told(component, metadata or {}))
        except RuntimeError as error:  # its own, around whatever the reason was
            raise OSError(f"{path}: cannot be written ({one_line(error.__cause__ or error)})") from error


def content_files(asset: Path) -> tuple[Path, ...]:
    """The files of an asset: all of them hold content."""
    return tuple(sorted(file for file in asset.rglob("*") if file.is_file()))


def _converted(component: Component, precision: CoreAIPrecision) -> AIProgram:
    # Without stack traces, which say where the exporter's machine keeps its code.
    converter = coreai_torch.TorchConverter(mode=coreai_torch.TorchConverter.Mode.RELEASE)
    return converter.add_exported_program(
        exported(component, precision).run_decompositions(coreai_torch.get_decomp_table()),
        input_names=[spec.name for spec in component.inputs],
        output_names=[spec.name for spec in component.outputs],
    ).to_coreai()


def _told(component: Component, metadata: Mapping[str, str]) -> AIModelAssetMetadata:
    told = AIModelAssetMetadata()
    told.author, told.license, told.model_description = "gfnet", "Apache-2.0", component.description
    for key, value in metadata.items():
        told.set_custom(key, value)
    return told
