"""Components as ONNX files."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import onnx
import torch

from gfnet.errors import ExportError
from gfnet_export.components import Component

OPSET = 18


def write_onnx(component: Component, path: Path) -> None:
    """Write one component as a single ONNX file, fixed shapes, checked.

    The exporter folds constants and batch norms; without that a graph is more than twice as slow.

    Raises:
        ExportError: a part of the network has no ONNX form.
    """
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                component.module,
                component.example,
                input_names=[spec.name for spec in component.inputs],
                output_names=[spec.name for spec in component.outputs],
                opset_version=OPSET,
                dynamo=True,
                optimize=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"{component.name}: ONNX export failed ({str(error).splitlines()[0]})") from error
    assert program is not None
    model = program.model_proto
    # Names of source files and lines on every node: 240 KB that say where the exporter's machine keeps its code.
    del model.metadata_props[:]
    for holder in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del holder.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
    model.doc_string = component.description
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _quiet():
    """The exporter reports its progress on standard output and warns of its own deprecations."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
