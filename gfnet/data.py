"""Image folders as batches of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from gfnet.config import Augmentation, ModelConfig
from gfnet.errors import DataError, ImageError
from gfnet.images import Preprocessing, load_image

_INTERPOLATION = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}

_MOST_KEPT_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Split:
    """One split of an image folder: ``root/<class>/<file>``.

    Attributes:
        root: the folder of classes.
        classes: class names in alphabetical order; a label is an index into them.
        samples: (path, label) of every file.
    """

    root: Path
    classes: tuple[str, ...]
    samples: tuple[tuple[str, int], ...]


def open_split(root: str | Path) -> Split:
    """List a folder of class folders.

    Raises:
        DataError: it does not exist, holds no class folder, or a class folder holds no image.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected one folder of images for each class in it")
    try:
        folder = ImageFolder(str(root))
    except FileNotFoundError as error:
        if "Found no valid file" in str(error):
            names = str(error).split("classes", 1)[-1].split(".")[0].strip()
            raise DataError(f"{root}: no images in class folder {names}; fill or remove it") from None
        raise DataError(f"{root}: no class folders; expected one folder of images for each class") from None
    return Split(root, tuple(folder.classes), tuple(folder.samples))


def open_splits(root: str | Path) -> tuple[Split, Split]:
    """The ``train`` and ``val`` splits under ``root``.

    Raises:
        DataError: one is missing or empty, or their classes differ.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected train/ and val/ in it (`gfnet synth` makes an example)")
    train, val = open_split(root / "train"), open_split(root / "val")
    if train.classes != val.classes:
        only_train = sorted(set(train.classes) - set(val.classes))[:3]
        only_val = sorted(set(val.classes) - set(train.classes))[:3]
        raise DataError(
            f"{root}: train/ and val/ have different classes (only in train: {only_train}, only in val: "
            f"{only_val}); make them alike"
        )
    return train, val


class PixelDataset(Dataset):
    """Pixels uint8 [S,S,3] and labels of a split.

    Without random crops every image always gives the same square, which is kept once decoded.

    Args:
        split: what to read.
        config: image size, crop ratio and interpolation.
        augmentation: ``crop`` draws a random resized crop each time; flips are the batch's business.
        keep: remember decoded squares (S*S*3 bytes each), if all of them fit into 2 GiB; pointless with
            ``crop``.
    """

    def __init__(
        self, split: Split, config: ModelConfig, *, augmentation: Augmentation = "none", keep: bool = False
    ) -> None:
        self.split = split
        self.preprocessing = Preprocessing.of(config)
        self.random_crop = (
            RandomResizedCrop(config.image_size, interpolation=_INTERPOLATION[config.interpolation])
            if augmentation == "crop"
            else None
        )
        fits = len(split.samples) * 3 * config.image_size**2 <= _MOST_KEPT_BYTES
        self.kept: dict[int, np.ndarray] | None = {} if keep and fits and augmentation != "crop" else None

    def __len__(self) -> int:
        return len(self.split.samples)

    def __getitem__(self, index: int) -> tuple[np.ndarray | str, int]:
        """Pixels and label; an unreadable image gives its error message in place of the pixels."""
        path, label = self.split.samples[index]
        if self.kept is not None and index in self.kept:
            return self.kept[index], label
        try:
            picture = load_image(path)
        except ImageError as error:
            return str(error), label
        pixels = self.preprocessing(picture) if self.random_crop is None else np.asarray(self.random_crop(picture))
        if self.kept is not None:
            self.kept[index] = pixels
        return pixels, label


@dataclass
class Batches:
    """Batches of a :class:`PixelDataset`: pixels uint8 [B,3,S,S] in channels-last order, labels int64 [B].

    Unreadable images are left out; iterating collects what is wrong with them.

    Attributes:
        dataset: where pixels come from.
        batch_size: images a batch; the last one may be smaller.
        generator: shuffles, and draws the flips; ``None`` keeps the order and flips nothing.
        flip: mirror half of the images left to right.
        workers: processes that decode; 0 decodes here.
        strict: raise at the first unreadable image.
        unreadable: error messages of the images that were left out so far.
    """

    dataset: PixelDataset
    batch_size: int
    generator: torch.Generator | None = None
    flip: bool = False
    workers: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        self.unreadable: dict[str, None] = {}  # ordered, without repeats over epochs
        self.loader = DataLoader(
            self.dataset,
            batch_size=self.batch_size,
            shuffle=self.generator is not None,
            generator=self.generator,
            num_workers=self.workers,
            collate_fn=list,
            persistent_workers=self.workers > 0,
        )

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for samples in self.loader:
            readable = [(pixels, label) for pixels, label in samples if not isinstance(pixels, str)]
            broken = [message for message, _ in samples if isinstance(message, str)]
            if broken and self.strict:
                raise ImageError(broken[0])
            self.unreadable.update(dict.fromkeys(broken))
            if not readable:
                continue
            pixels = torch.from_numpy(np.stack([pixels for pixels, _ in readable]))  # [B,S,S,3]
            pixels = pixels.permute(0, 3, 1, 2)
            if self.flip and self.generator is not None:
                mirrored = torch.rand(len(pixels), generator=self.generator) < 0.5
                pixels[mirrored] = pixels[mirrored].flip(3)
            yield pixels, torch.tensor([label for _, label in readable])
