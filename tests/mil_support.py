"""Small ML programs, written as packages by coremltools and read by this project."""

from __future__ import annotations

import copy
from pathlib import Path

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  its usual name
from coremltools.converters.mil.mil import types

from gfnet_export.mil.ops import LISTS, OPS, as_tensor
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


def folded(kind: str, parameters: dict, target=ct.target.iOS18) -> list[np.ndarray]:
    """What coremltools makes of an operation on constants."""
    results = []

    @mb.program(input_specs=[mb.TensorSpec(shape=(1,))], opset_version=target)
    def _(x):
        found = getattr(mb, kind)(**parameters)
        results.extend(found if isinstance(found, list | tuple) else [found])
        return mb.identity(x=x)

    return [np.asarray(result.val) for result in results]


def tensors(parameters: dict) -> dict:
    """Parameters as the interpreter hands them over."""
    return {
        name: value
        if isinstance(value, str)
        else [as_tensor(np.asarray(item)) for item in value]
        if name in LISTS
        else as_tensor(np.asarray(value))
        for name, value in parameters.items()
    }


def compute(kind: str, **parameters) -> np.ndarray:
    """The result of an operation that has one."""
    return OPS[kind](**tensors(parameters)).numpy()


def check(kind: str, parameters: dict, tolerance: float = 1e-6) -> None:
    """Assert that an operation computes what coremltools folds."""
    theirs = folded(kind, copy.deepcopy(parameters))  # some of its foldings write into their input
    ours = OPS[kind](**tensors(parameters))
    for mine, expected in zip(ours if isinstance(ours, tuple) else (ours,), theirs, strict=True):
        assert tuple(mine.shape) == expected.shape
        assert mine.is_floating_point() == (expected.dtype.kind == "f")
        np.testing.assert_allclose(mine.numpy(), expected, rtol=tolerance, atol=tolerance)
