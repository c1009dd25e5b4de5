"""Datasets as batches of pixels."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import ColorJitter, Compose, InterpolationMode, RandomResizedCrop

from gfnet.config import Augmentation, ModelConfig
from gfnet.data.splits import Split
from gfnet.distributed import Ranks
from gfnet.errors import DataError, ImageError
from gfnet.inference.images import Preprocessing

_INTERPOLATION = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}

_JITTER = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3}
_MOST_KEPT_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Draw:
    """What training asks of a dataset: one image, augmented in one way.

    Attributes:
        index: of the image.
        seed: of its augmentation.
    """

    index: int
    seed: int


class Sample(NamedTuple):
    """What a dataset gives: pixels uint8 [S,S,3], or ``None`` where the image cannot be read.

    Attributes:
        unreadable: messages that name the images that could not be read.
    """

    pixels: np.ndarray | None
    label: int
    unreadable: tuple[str, ...] = ()


class _Stack(NamedTuple):
    """The readable ones of some samples, put together where they were decoded.

    Attributes:
        pixels: uint8 [B,S,S,3], or ``None`` where no image can be read.
        labels: int64 [B].
        unreadable: messages of all of them, those that cannot be read included.
    """

    pixels: Tensor | None
    labels: Tensor
    unreadable: tuple[str, ...]


class PixelDataset(Dataset[Any]):
    """Pixels and labels of a split.

    Asked for an index, it gives that image without augmentation.  Asked for a :class:`Draw`, it gives the image
    augmented; in place of one that cannot be read it gives the next one that can, so that batches stay full.
    Without random crops every image always gives the same square, which is kept once decoded.

    Args:
        split: what to read.
        config: image size, crop ratio and interpolation, of random crops too.
        augmentation: what a :class:`Draw` means, see :class:`gfnet.training.recipe.Recipe`.
        least_crop: the smallest share of an image's area that a random crop keeps.
        keep: remember decoded squares (S*S*3 bytes each), if all of them fit into 2 GiB.
    """

    def __init__(
        self,
        split: Split,
        config: ModelConfig,
        *,
        augmentation: Augmentation = "none",
        least_crop: float = 0.08,
        keep: bool = False,
    ) -> None:
        self.split = split
        self.labels = split.labels
        self.preprocessing = Preprocessing.of(config)
        self.augmentation = augmentation
        interpolation = _INTERPOLATION[config.interpolation]
        self.crops = augmentation in ("crop", "jitter")
        self.random_view = Compose(
            [RandomResizedCrop(config.image_size, (least_crop, 1.0), interpolation=interpolation)]
            + [ColorJitter(**_JITTER)] * (augmentation == "jitter")
        )
        fits = len(split) * 3 * config.image_size**2 <= _MOST_KEPT_BYTES
        self.kept: dict[int, np.ndarray] | None = {} if keep and fits else None
        self._broken: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: int | Draw) -> Sample:
        if not isinstance(key, Draw):
            pixels = self._square(key)
            return Sample(pixels, int(self.labels[key]), () if pixels is not None else (self._broken[key],))
        unreadable: list[str] = []
        for distance in range(len(self)):
            index = (key.index + distance) % len(self)
            pixels = self._augmented(index, key.seed)
            if pixels is not None:
                return Sample(pixels, int(self.labels[index]), tuple(unreadable))
            unreadable.append(self._broken[index])
        return Sample(None, -1, tuple(unreadable))

    def _augmented(self, index: int, seed: int) -> np.ndarray | None:
        if not self.crops:
            pixels = self._square(index)
        else:
            picture = self._picture(index)
            if picture is None:
                return None
            with torch.random.fork_rng(devices=[]):  # the transform draws from torch's own generator
                torch.manual_seed(seed >> 1)
                pixels = np.asarray(self.random_view(picture))
        mirrored = self.augmentation != "none" and seed & 1
        return pixels[:, ::-1] if pixels is not None and mirrored else pixels

    def _square(self, index: int) -> np.ndarray | None:
        """The image's centre, as evaluation sees it."""
        if self.kept is not None and index in self.kept:
            return self.kept[index]
        picture = self._picture(index)
        if picture is None:
            return None
        pixels = self.preprocessing(picture)
        if self.kept is not None:
            self.kept[index] = pixels
        return pixels

    def _picture(self, index: int) -> Image.Image | None:
        if index in self._broken:
            return None
        try:
            return self.split.load(index)
        except ImageError as error:
            self._broken[index] = str(error)
            return None


@dataclass
class Batches:
    """A dataset once through, in order: pixels uint8 [B,3,S,S] in channels-last order, labels int64 [B].

    Unreadable images are left out; iterating collects what is wrong with them.

    Attributes:
        dataset: where pixels come from.
        batch_size: images a batch; the last one may be smaller.
        workers: processes that decode; 0 decodes here.
        strict: raise at the first unreadable image.
        indices: which images; all of them by default.
        unreadable: error messages of the images that were left out so far.
    """

    dataset: PixelDataset
    batch_size: int
    workers: int = 0
    strict: bool = False
    indices: Sequence[int] | None = None

    def __post_init__(self) -> None:
        self.unreadable: dict[str, None] = {}  # ordered, without repeats
        indices = range(len(self.dataset)) if self.indices is None else list(self.indices)
        self.loader = _make_loader(self.dataset, self.workers, batch_size=self.batch_size, sampler=indices)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, labels, unreadable in _loaded(self.loader, self.dataset):
            if unreadable and self.strict:
                raise ImageError(unreadable[0])
            self.unreadable.update(dict.fromkeys(unreadable))
            if pixels is not None:
                yield pixels.permute(0, 3, 1, 2), labels


@dataclass(frozen=True)
class Batch:
    """A part of one iteration's batch.

    Attributes:
        pixels: uint8 [b,3,S,S] in channels-last order.
        labels: int64 [b].
        places: int64 [b], where these images stand in the whole batch.
        total: images in the whole batch, over all ranks.
        ranks: between whom the whole batch is shared.
    """

    pixels: Tensor
    labels: Tensor
    places: Tensor
    total: int
    ranks: int = 1

    @property
    def share(self) -> float:
        """This part's share of the whole batch."""
        return len(self.labels) / self.total

    def divided(self, count: int) -> list[Batch]:
        """The batch as ``count`` parts, fewer if the smallest rank's share has fewer images."""
        columns = (self.pixels, self.labels, self.places)
        # All ranks need equally many: each part's forward pass may wait for the others' (BatchNorm over ranks).
        count = min(count, self.total // self.ranks)
        parts = (column.tensor_split(count) for column in columns)
        return [
            Batch(pixels, labels, places, self.total, self.ranks) for pixels, labels, places in zip(*parts, strict=True)
        ]


class TrainingBatches:
    """Shuffled, augmented batches of one rank, a function of seed and place alone.

    Every rank draws the same order of all images and takes its share of each batch.

    Args:
        dataset: where pixels come from.
        batch_size: images of a batch, over all ranks; an epoch's last batch may be smaller, and is left out where a
            rank would get less than two.
        ranks: this process among the others.
        workers: processes that decode; 0 decodes here.

    Raises:
        DataError: there are too few images for one batch.
    """

    def __init__(self, dataset: PixelDataset, batch_size: int, ranks: Ranks | None = None, workers: int = 0) -> None:
        self.dataset, self.batch_size, self.ranks = dataset, batch_size, ranks or Ranks()
        self.unreadable: dict[str, None] = {}
        count = len(dataset)
        full, rest = divmod(count, batch_size)
        self._length = full + (rest >= 2 * self.ranks.size)
        if not self._length:
            raise DataError(
                f"{dataset.split.root}: {count} images are too few for batches of {min(batch_size, count)} "
                f"on {self.ranks.size} ranks; add images"
            )
        self._plan = _Plan()
        self.loader = _make_loader(dataset, workers, batch_sampler=self._plan)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._length

    def epoch(self, seed: int, start: int = 0) -> Iterator[Batch]:
        """The batches of the epoch that ``seed`` stands for, from number ``start`` (0 ..) on.

        Raises:
            DataError: none of the images can be read.
        """
        generator = np.random.default_rng(seed)
        order = self.dataset.split.order(generator)
        seeds = generator.integers(2**62, size=len(order))
        places = [self._places(number) for number in range(start, self._length)]
        self._plan.batches = ([Draw(int(order[i]), int(seeds[i])) for i in mine] for mine, _ in places)
        for (mine, first), (pixels, labels, unreadable) in zip(places, _loaded(self.loader, self.dataset), strict=True):
            self.unreadable.update(dict.fromkeys(unreadable))
            if pixels is None:
                raise DataError(f"{self.dataset.split.root}: none of its images could be read")
            total = min(self.batch_size, len(order) - first)
            yield Batch(pixels.permute(0, 3, 1, 2), labels, torch.tensor(mine) - first, total, self.ranks.size)

    def _places(self, number: int) -> tuple[range, int]:
        """Positions in the epoch's order of this rank's share of a batch, and where the batch begins."""
        first = number * self.batch_size
        share = self.ranks.share(min(self.batch_size, len(self.dataset) - first))
        return range(first + share.start, first + share.stop), first


class _Plan(Sampler[list[Draw]]):
    """The batches that are to be loaded next, set before each iteration and made as they are needed."""

    batches: Iterable[list[Draw]] = ()

    def __iter__(self) -> Iterator[list[Draw]]:
        return iter(self.batches)


def _make_loader(dataset: PixelDataset, workers: int, **order: Any) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        num_workers=workers,
        collate_fn=_stack,
        persistent_workers=workers > 0,
        worker_init_fn=_leave_signals_to_parent,
        pin_memory=torch.cuda.is_available(),
        **order,
    )


def _loaded(loader: DataLoader[Any], dataset: PixelDataset) -> Iterator[_Stack]:
    """What the loader gives.

    Raises:
        DataError: a decoding process died; images that merely cannot be read do not do that.
    """
    on_child_exit = signal.getsignal(signal.SIGCHLD)
    try:
        batches = iter(loader)
        if loader.num_workers and threading.current_thread() is threading.main_thread():
            # torch's handler would raise wherever training is when a process dies; asked for its batch, the loader
            # finds out as well.
            signal.signal(signal.SIGCHLD, on_child_exit)
        yield from batches
    except (RuntimeError, OSError, EOFError) as error:
        # While it hands over a batch the process's end is a broken connection.  Images' own errors stay in it.
        handing_over = loader.num_workers and not isinstance(error, RuntimeError)
        if not handing_over and "DataLoader worker" not in str(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{dataset.split.root}: a decoding process died ({reason}); is memory or shared memory full? use fewer "
            "--workers"
        ) from error


def _leave_signals_to_parent(_worker: int) -> None:
    """Decode on when a whole process group is told to stop: training first saves, then ends its processes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


def _stack(samples: Sequence[Sample]) -> _Stack:
    readable = [sample for sample in samples if sample.pixels is not None]
    labels = torch.tensor([sample.label for sample in readable], dtype=torch.int64)
    unreadable = tuple(message for sample in samples for message in sample.unreadable)
    pixels = [sample.pixels for sample in readable if sample.pixels is not None]
    return _Stack(torch.from_numpy(np.stack(pixels)) if pixels else None, labels, unreadable)
