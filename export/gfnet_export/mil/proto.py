"""The protobuf classes of Core ML's model format, which coremltools brings."""

from __future__ import annotations

from gfnet_export.quiet import quietly

with quietly():
    from coremltools.proto import MIL_pb2, Model_pb2

__all__ = ["MIL_pb2", "Model_pb2"]
