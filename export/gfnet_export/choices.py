"""Lists of choices that manifests, options and functions share; light, so that ``gfnet --help`` stays fast."""

from __future__ import annotations

from typing import Literal

Format = Literal["onnx", "coreml", "coreai"]
Precision = Literal["fp32", "fp16", "int8", "int8-heads", "int8-vectors", "int8-storage"]
Compression = Literal["none", "int8", "palette6", "palette4", "w8a8"]
Layout = Literal["split", "fused", "multifunction"]

OnnxLayout = Literal["split", "fused"]
RangeMethod = Literal["percentile", "entropy"]
"""How the range of an 8-bit activation is chosen."""

CoreMLPrecision = Literal["fp16", "fp32"]
CoreMLLayout = Literal["split", "multifunction"]
CoreAIPrecision = CoreMLPrecision

Target = Literal["iOS16", "iOS17", "iOS18"]
"""The oldest system that a Core ML package runs on."""
Pictures = Literal["patches", "all", "none"]
"""Which inputs of a Core ML bundle are 8-bit images."""
ComputeUnits = Literal["all", "cpu_and_ne", "cpu_and_gpu", "cpu_only"]
"""What Core ML may use; ``ne`` is the Neural Engine."""

Provider = Literal["cpu", "coreml", "cuda", "xnnpack"]
"""ONNX Runtime's execution providers."""
Rounding = Literal["declared", "none"]
"""Whether the interpreter of Core ML packages rounds to float16 where the program says so."""
