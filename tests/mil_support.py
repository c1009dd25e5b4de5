"""Small ML programs, written as packages by coremltools and read by this project."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  its usual name
from coremltools.converters.mil.mil import types

from gfnet_export.mil.package import Function, read_package
from gfnet_export.quiet import quietly

DTYPES = {"float16": types.fp16, "float32": types.fp32, "int32": types.int32, "bool": types.bool}


def write_program(build, path: Path, shapes, dtype: str = "float32", target=ct.target.iOS17) -> Path:
    """Write ``build``, a function of as many parameters as there are ``shapes``, exactly as it is called.

    No pass of coremltools touches the program, so each of its operations lies in the package.
    """
    specs = [mb.TensorSpec(shape=shape, dtype=DTYPES[dtype]) for shape in shapes]
    with quietly():
        program = mb.program(input_specs=specs, opset_version=target)(build)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=target,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        model.save(str(path))
    return path


def function_of(build, folder: Path, shapes, dtype: str = "float32", **options) -> Function:
    """The same, read again."""
    return read_package(write_program(build, folder / "program.mlpackage", shapes, dtype, **options)).function()


def halves(*values: float) -> np.ndarray:
    """Constants of float16."""
    return np.array(values, np.float16)
