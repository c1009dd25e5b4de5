"""Components as ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import onnx
import torch
from onnxscript.optimizer import fold_constants, remove_unused_nodes

from gfnet.errors import ExportError
from gfnet_export.bundle import tensor_names as names
from gfnet_export.components import Component
from gfnet_export.onnx.cpu_rewrites import rewrite_for_cpu
from gfnet_export.quiet import quietly

OPSET = 18
"""The oldest that the exporter writes; newer ones add nothing that these networks use."""


def convert(
    component: Component, opset: int = OPSET, metadata: Mapping[str, str] | None = None, *, for_cpu: bool = True
) -> onnx.ModelProto:
    """One component as an ONNX model in fp32 with fixed shapes, checked.

    The exporter folds constants and batch norms; without that a graph is more than twice as slow.

    Args:
        metadata: what to tell a person who opens the file.
        for_cpu: put it as ONNX Runtime's CPU kernels like it; see :mod:`gfnet_export.onnx.cpu_rewrites`.

    Raises:
        ExportError: a part of the network has no ONNX form, or the exporter cannot write that opset.
    """
    try:
        with quietly(), torch.no_grad():
            program = torch.onnx.export(
                component.module,
                component.example,
                input_names=[spec.name for spec in component.inputs],
                output_names=[spec.name for spec in component.outputs],
                opset_version=opset,
                dynamo=True,
                optimize=True,
                verbose=False,
            )
            assert program is not None
            # The exporter spares what is large: a glance's classifier multiplied zeros by 12 MB of weights.
            fold_constants(program.model, should_fold=lambda node: node.op_type in ("ConstantOfShape", "Gemm") or None)
            remove_unused_nodes(program.model)
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"{component.name}: ONNX export failed ({str(error).splitlines()[0]})") from error
    model = program.model_proto
    written = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if written != opset:
        raise ExportError(f"opset {opset} cannot be written, the exporter gives {written}; choose another")
    if for_cpu:
        rewrite_for_cpu(model)
    _describe(model, component, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a model as a single file, the same bytes for the same model."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def _describe(model: onnx.ModelProto, component: Component, metadata: Mapping[str, str] | None) -> None:
    # Names of source files and lines on every node: 240 KB that say where the exporter's machine keeps its code.
    for holder in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del holder.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
    model.graph.name = component.name
    model.doc_string = component.description
    model.producer_name, model.producer_version = "gfnet", version("gfnet")
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = names.DESCRIPTIONS[value.name]
    onnx.helper.set_model_props(model, dict(metadata or {}))
