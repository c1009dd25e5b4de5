"""Glance-and-Focus networks: the model, its training, and adaptive inference.

Names are imported when first used, so that the parts which need no torch work without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "RELEASED": "gfnet.config",
    "Checkpoint": "gfnet.checkpoint",
    "GFNet": "gfnet.network.model",
    "GFNetError": "gfnet.errors",
    "ModelConfig": "gfnet.config",
    "Predictor": "gfnet.inference.predictor",
    "Trace": "gfnet.inference.traces",
    "load_checkpoint": "gfnet.checkpoint",
    "model_config": "gfnet.config",
    "save_checkpoint": "gfnet.checkpoint",
    "save_official": "gfnet.checkpoint",
    "torch_predictor": "gfnet.checkpoint.predictor",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
