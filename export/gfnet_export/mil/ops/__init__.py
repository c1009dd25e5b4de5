"""What the operations of an ML program compute, one small function each, on torch.

Parameters are called as in Core ML's MIL reference.  Floating-point tensors come and go as float32: rounding to the
declared type is the interpreter's business.  Integers and flags that steer an operation arrive as tensors too.  Where
integers are computed with, the result is an integer, and what comes after the point is dropped.
"""

from __future__ import annotations

from gfnet_export.mil.ops import (  # noqa: F401  each enters its operations
    compressed,
    elementwise,
    indexing,
    normalisation,
    products,
    reductions,
    resizing,
    shapes,
    windows,
)
from gfnet_export.mil.ops.registry import CONSTANT_OPS, LISTS, OPS, as_tensor

__all__ = ["CONSTANT_OPS", "LISTS", "OPS", "as_tensor"]
