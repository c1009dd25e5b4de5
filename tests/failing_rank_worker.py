"""What every rank learns when one of them fails or is asked to stop.

Run as ``torchrun --nproc-per-node 2 tests/failing_rank_worker.py OUT``: each rank writes what it was told.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from gfnet.distributed import current_ranks, on_all_ranks, process_group
from gfnet.errors import DataError
from gfnet.training.interruption import Interruption, Stopped


def outcome(work: Callable[[], object]) -> str:
    try:
        return str(work())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def fail_on(rank: int, error: Exception) -> int:
    if current_ranks().rank == rank:
        raise error
    return current_ranks().rank


def watched() -> list[int]:
    """A share of two images, on a rank that is asked to stop after the first."""
    with Interruption() as interruption:
        for image in interruption.watch([0, 1]):
            if image == 0 and current_ranks().rank == 1:
                signal.raise_signal(signal.SIGTERM)
        return [0, 1]


def signalled(first: int, second: int) -> None:
    with Interruption() as interruption:
        signal.raise_signal(second if current_ranks().rank else first)
        interruption.check_all_ranks()


def failing() -> None:
    error = DataError("no batch") if current_ranks().rank == 1 else None
    Interruption().check_all_ranks(error)


def main(out: Path) -> None:
    with process_group(timeout_s=60) as ranks:
        outcomes = {
            "fine": outcome(lambda: on_all_ranks(lambda: current_ranks().rank)),
            "error": outcome(lambda: on_all_ranks(lambda: fail_on(1, DataError("a broken image")))),
            "stop": outcome(lambda: on_all_ranks(lambda: fail_on(0, Stopped(signal.SIGTERM)))),
            "watched": outcome(lambda: on_all_ranks(watched)),
            "two signals": outcome(lambda: signalled(signal.SIGINT, signal.SIGTERM)),
            "failing": outcome(failing),
        }
        (out / f"rank{ranks.rank}.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
