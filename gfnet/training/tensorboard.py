"""A run's metrics as TensorBoard events, where that is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from gfnet.training.run_folder import RunFolder


class TensorBoard:
    """Writes the lines of ``metrics.jsonl`` as scalars; does nothing where TensorBoard is not installed.

    Args:
        folder: the run's; only the process that writes it writes events.
        iteration: where the run goes on; later events of an earlier attempt are marked as void.
    """

    def __init__(self, folder: RunFolder, iteration: int) -> None:
        self.writer: Any = None
        if folder.writes and find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder.path / "tensorboard"), purge_step=iteration)

    def add(self, values: Mapping[str, Any]) -> None:
        """Add one line; lists become one scalar a step."""
        if self.writer is None:
            return
        iteration, event = values["iteration"], values["event"]
        for name, value in values.items():
            if name in ("iteration", "event", "stage", "epoch"):
                continue
            if isinstance(value, list):
                for index, item in enumerate(value, start=1):
                    self.writer.add_scalar(f"{event}/{name}/{index}", item, iteration)
            elif isinstance(value, int | float):
                self.writer.add_scalar(f"{event}/{name}", value, iteration)

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.writer is not None:
            self.writer.close()
