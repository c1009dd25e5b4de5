"""The golden pictures as a dataset, and a small network for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from gfnet.config import model_config
from gfnet.data import open_split
from gfnet.data.batches import Batches, PixelDataset
from gfnet.network.model import GFNet
from golden_inputs import pictures


@pytest.fixture(scope="module")
def picture_folder(tmp_path_factory) -> Path:
    """The golden pictures as an image folder."""
    root = tmp_path_factory.mktemp("pictures")
    for label, class_pictures in enumerate(pictures()):
        folder = root / f"class_{label}"
        folder.mkdir()
        for i, pixels in enumerate(class_pictures):
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def tiny() -> GFNet:
    torch.manual_seed(0)
    return GFNet(model_config("test_resnet", 32, 3, num_classes=10, image_size=96)).eval()


@pytest.fixture
def tiny_batches(tiny, picture_folder):
    return Batches(PixelDataset(open_split(picture_folder), tiny.config), batch_size=5)
