"""Datasets: where images lie, and how they become batches."""

from __future__ import annotations

from gfnet.data.splits import (
    FolderSplit,
    ShardSplit,
    Split,
    open_dataset,
    open_named_split,
    open_split,
    open_splits,
)

__all__ = [
    "FolderSplit",
    "ShardSplit",
    "Split",
    "open_dataset",
    "open_named_split",
    "open_split",
    "open_splits",
]
