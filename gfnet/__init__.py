"""Glance-and-Focus networks: the model, its training, and adaptive inference.

Importing this package is quick: torch and numpy are imported by the functions that need them.
"""

from gfnet.config import RELEASED, ModelConfig, model_config
from gfnet.errors import GFNetError
from gfnet.loading import load, load_checkpoint, save_checkpoint, torch_predictor

__all__ = [
    "RELEASED",
    "GFNetError",
    "ModelConfig",
    "load",
    "load_checkpoint",
    "model_config",
    "save_checkpoint",
    "torch_predictor",
]
