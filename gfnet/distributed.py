"""Many processes, one job: what ``torchrun`` started, and the few sums they need of each other.

Without ``torchrun`` there is one rank, and everything here is the identity.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from gfnet.errors import ConfigError, GFNetError

T = TypeVar("T")


class RankError(GFNetError):
    """Another process of the job has ended or does not answer."""


@dataclass(frozen=True)
class Ranks:
    """This process's place among those of the job.

    Attributes:
        rank: 0 .. size-1; 0 writes files and talks.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This rank's contiguous share of ``count`` things; shares differ by one at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


def restarts() -> int:
    """How often ``torchrun`` has started this job's ranks anew."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def current_ranks() -> Ranks:
    """Where this process stands; a single rank outside :func:`process_group`."""
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size())
    return Ranks()


@contextmanager
def process_group(timeout_s: float = 600.0) -> Iterator[Ranks]:
    """Join the job that ``torchrun`` started, if it did: nccl where every rank has a GPU, otherwise gloo.

    Args:
        timeout_s: how long a rank waits for the others before it gives up.

    Raises:
        ConfigError: the environment of ``torchrun`` is there but unusable.
        RankError: another rank ended, or did not answer in time.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield Ranks()
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"local rank {local}, but this machine has {torch.cuda.device_count()} GPUs; lower --nproc-per-node"
            )
        torch.cuda.set_device(local)
    timeout = timedelta(seconds=timeout_s)
    try:
        store, rank, size = next(rendezvous("env://", timeout=timeout))
        # torchrun keeps its store when it restarts the ranks: they must not find the addresses of the dead.
        store = PrefixStore(f"attempt-{restarts()}", store)
        dist.init_process_group("nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=size, timeout=timeout)
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise RankError(f"cannot join the other ranks ({_first_line(error)}); start all of them again") from error
    try:
        with _naming_lost_ranks():
            yield current_ranks()
    finally:
        dist.destroy_process_group()


@contextmanager
def _naming_lost_ranks() -> Iterator[None]:
    """Turn a collective's failure into a :class:`RankError`: somebody else's end, not a defect here."""
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        if dist.is_initialized() and _is_collective(error):
            raise RankError(
                f"rank {dist.get_rank()}: another rank ended or did not answer in time ({_first_line(error)}); "
                "see its own message, then start all ranks again with --resume"
            ) from error
        raise


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Element-wise sums in float64, the same on every rank."""
    if current_ranks().size == 1:
        return [float(value) for value in values]
    totals = torch.tensor(values, dtype=torch.float64, device=_device())
    dist.all_reduce(totals)
    return totals.tolist()


def gather(value: T) -> list[T]:
    """Every rank's value, in the order of the ranks, on every rank."""
    ranks = current_ranks()
    if ranks.size == 1:
        return [value]
    values: list[Any] = [None] * ranks.size
    dist.all_gather_object(values, value)
    return values


def on_all_ranks(work: Callable[[], T]) -> T:
    """What ``work`` gives on this rank; if it fails on one rank, it fails on all of them.

    For work that the ranks do apart from each other: were one to fail alone, the others would wait for it.

    Raises:
        Exception: what ``work`` raised, on the first rank where it did; elsewhere it is marked ``said_elsewhere``.
    """
    if current_ranks().size == 1:
        return work()
    values: list[T] = []
    failure: Exception | None = None
    try:
        values.append(work())
    except Exception as error:
        failure = error
    failures = gather(failure)
    first = next((rank for rank, other in enumerate(failures) if other is not None), None)
    if first is not None:
        cause = failure if first == current_ranks().rank else failures[first]
        assert cause is not None
        cause.said_elsewhere = first != current_ranks().rank  # type: ignore[attr-defined]
        raise cause
    return values[0]


def synchronise_buffers(module: torch.nn.Module) -> None:
    """Give all ranks the first rank's buffers (BatchNorm statistics), which training lets drift apart."""
    if current_ranks().size > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def _is_collective(error: BaseException) -> bool:
    text = str(error).lower()
    signs = ("gloo", "nccl", "connection", "processgroup", "process group", "timed out", "socket", "peer")
    return isinstance(error, dist.DistError) or any(sign in text for sign in signs)


def _first_line(error: BaseException) -> str:
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line.split(". This is typically")[0][:200]
