"""ML programs, Core ML's ``.mlpackage``, read and run on any machine."""

from __future__ import annotations

from gfnet_export.mil.interpreter import Interpreter
from gfnet_export.mil.package import Function, Operation, Package, read_package

__all__ = ["Function", "Interpreter", "Operation", "Package", "read_package"]
