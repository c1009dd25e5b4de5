"""What a run leaves on disk, and what of it a run that goes on may trust."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gfnet.checkpoint import Checkpoint, TrainingState, load_checkpoint, save_checkpoint
from gfnet.console.output import say
from gfnet.errors import CheckpointError, TrainingError
from gfnet.files.locks import LockedError, lock_file
from gfnet.files.replacing import check_files, has_record, record_files
from gfnet.files.temporary import remove_stale
from gfnet.files.writing import atomic_file, write_text
from gfnet.training.curves import draw_curves, read_metrics
from gfnet.training.position import load_state

_KIND = "training run"


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    ``config.yaml``; ``metrics.jsonl``; ``tensorboard/``, where that is installed; ``last.safetensors`` and the one
    before it, ``previous.safetensors``, from which training can go on; ``best.safetensors``, the stage's best epoch
    on the validation split; ``stage<n>.safetensors`` after each stage; ``model.safetensors``, the result;
    ``curves.png``, where matplotlib is installed.

    Attributes:
        path: the folder.
        writes: whether this process is the one that writes.
    """

    path: Path
    writes: bool = True

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def previous(self) -> Path:
        return self.path / "previous.safetensors"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def result(self) -> Path:
        return self.path / "model.safetensors"

    def after_stage(self, stage: int) -> Path:
        """The network as ``stage`` left it."""
        return self.path / f"stage{stage}.safetensors"

    @property
    def _spare(self) -> Path:
        return self.path / ".previous.safetensors"

    @property
    def has_state(self) -> bool:
        """Whether a run can be continued here."""
        return self.config.is_file() and (self.last.is_file() or self.previous.is_file())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other processes from training here.  The folder is made if need be, and removed if it stays empty.

        Raises:
            TrainingError: one does already; names it.
        """
        if not self.writes:
            yield
            return
        made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            with lock_file(self.path / ".lock"):
                yield
        except LockedError as holder:
            raise TrainingError(
                f"{self.path}: {holder} trains here; wait for its end, stop it, or choose another --out"
            ) from None
        finally:
            with suppress(OSError):  # something is in it
                for folder in made:
                    folder.rmdir()

    def check_room(self, stages: tuple[int, ...], *, overwrite: bool, sources: Sequence[Path] = ()) -> None:
        """Refuse a run of ``stages`` that would replace what must stay.

        Args:
            overwrite: whether what an earlier run of the same stages left may go.
            sources: what the run starts from.

        Raises:
            TrainingError: there are results or an unfinished run, and ``overwrite`` is not set; or the run would
                delete what it starts from.
            GFNetError: a file is in the way that no run wrote.
        """
        done = [path for path in map(self.after_stage, stages) if path.exists()]
        if done and not overwrite:
            raise TrainingError(f"{done[0]}: trained already; choose another --out, or pass --overwrite to replace it")
        if (self.last.exists() or self.previous.exists()) and not overwrite and not self._finished():
            raise TrainingError(
                f"{self.path}: holds a run that is not finished; continue it with --resume, or pass --overwrite"
            )
        for source in sources:
            if any(path.exists() and path.samefile(source) for path in self._replaced_by(stages)):
                raise TrainingError(f"{source}: would be replaced by the run that starts from it; choose another --out")
        if has_record(self.path, _KIND) or self._state() is None:  # earlier releases kept no record
            check_files(self.path, self._names(stages), _KIND)

    def begin(self, config: str, stages: tuple[int, ...]) -> None:
        """Make room for a run of ``stages``; earlier stages' results stay."""
        if not self.writes:
            return
        record_files(self.path, self._names(stages), _KIND)
        for path in self._replaced_by(stages):
            path.unlink(missing_ok=True)
        self.remove_leftovers()
        if stages[0] == 0:
            self.metrics.unlink(missing_ok=True)
            shutil.rmtree(self.path / "tensorboard", ignore_errors=True)
        elif self.metrics.exists():
            earlier = [line for line in read_metrics(self.metrics) if line["stage"] < stages[0]]
            write_text(self.metrics, "".join(_line(values) for values in earlier))
        write_text(self.config, config)

    def remove_leftovers(self) -> None:
        """Remove what saves that were killed left under temporary names."""
        if self.writes:
            remove_stale(self.path)
            self._spare.unlink(missing_ok=True)

    def save_last(self, checkpoint: Checkpoint, state: TrainingState) -> None:
        """Replace ``last`` and keep the one before it; a full disk leaves both as they were.

        Raises:
            GFNetError: it cannot be written.
        """
        if self.writes:
            save_checkpoint(self.last, checkpoint, state=state, before_replacing=self._keep_previous)

    def load_last(self) -> tuple[Checkpoint, TrainingState]:
        """The newest state that is whole; says so if that is not ``last``.

        Raises:
            TrainingError: neither is whole.
        """
        problems = []
        for path in (self.last, self.previous):
            try:
                loaded = load_checkpoint(path), load_state(path)
            except CheckpointError as error:
                problems.append(str(error))
                continue
            if problems and self.writes:
                say(f"gfnet: {problems[0]}; going on from {path.name}", err=True)
                with suppress(FileNotFoundError):
                    os.replace(self.last, self.path / "damaged.safetensors")  # else the next save makes it `previous`
            return loaded
        raise TrainingError(f"{'; '.join(problems)}; begin again with --overwrite")

    def save(self, path: Path, checkpoint: Checkpoint) -> None:
        """Write one of the networks."""
        if self.writes:
            save_checkpoint(path, checkpoint)

    @property
    def metrics_bytes(self) -> int:
        """Length of ``metrics.jsonl``."""
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def truncate_metrics(self, length: int) -> None:
        """Forget what was measured after the state that the run goes on from, and half a line at the end."""
        if self.writes and self.metrics.exists():
            kept = self.metrics.read_bytes()[:length]
            os.truncate(self.metrics, kept.rfind(b"\n") + 1)

    def log(self, values: Mapping[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        if self.writes:
            with open(self.metrics, "a", encoding="utf-8") as stream:
                stream.write(_line(values))

    def draw_curves(self) -> None:
        """Draw ``curves.png`` anew from ``metrics.jsonl``, if matplotlib is installed."""
        if self.writes and self.metrics_bytes and find_spec("matplotlib"):
            with atomic_file(self.path / "curves.png") as temporary:
                draw_curves(self.metrics, temporary)

    def _keep_previous(self) -> None:
        """Call what is ``last`` now ``previous``, without a moment in which neither exists."""
        if not self.last.exists():
            return
        spare = self._spare
        spare.unlink(missing_ok=True)
        try:
            os.link(self.last, spare)
        except OSError:  # no hard links on this file system
            shutil.copyfile(self.last, spare)
        os.replace(spare, self.previous)

    def _replaced_by(self, stages: tuple[int, ...]) -> list[Path]:
        """What a run of ``stages`` writes, and deletes first."""
        return [*map(self.after_stage, stages), self.last, self.previous, self.best, self.result]

    def _names(self, stages: tuple[int, ...]) -> list[str]:
        """All that a run of ``stages`` writes, and so must be its own if it is there."""
        others = ["tensorboard", "curves.png", "damaged.safetensors"]
        return [path.name for path in (*self._replaced_by(stages), self.config, self.metrics)] + others

    def _finished(self) -> bool:
        state = self._state()
        return state is not None and bool(state.values["finished"])

    def _state(self) -> TrainingState | None:
        """Of the run that is here, if there is one."""
        try:
            return load_state(self.last)
        except CheckpointError:
            return None


def _line(values: Mapping[str, Any]) -> str:
    """One line of JSON, which knows no infinity: ``null`` instead."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
    return json.dumps(finite, allow_nan=False) + "\n"
