"""The first image of a new process: what loading costs, apart from steady runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from gfnet.errors import BundleError
from gfnet.escaping import one_line
from gfnet.inference.adaptive import classify
from gfnet.results.schema import Cold
from gfnet_benchmark.measure.runners import Settings, open_runners
from gfnet_benchmark.measure.targets import Target

REPEATS = 3


@dataclass(frozen=True)
class ColdGraph:
    """One subgraph in a new process.

    Attributes:
        memory_bytes: by which the process grew while it was loaded.
    """

    load_ms: float
    first_run_ms: float
    memory_bytes: int


def measure_cold(target: Target, repeats: int = REPEATS) -> tuple[Cold, dict[str, ColdGraph]]:
    """Load a target and run one image in new processes, one after another.

    Returns:
        Medians over them, and those of each subgraph by name.

    Raises:
        BundleError: the process ended with an error.
    """
    found = [_in_a_new_process(target) for _ in range(repeats)]

    def median(*keys: str) -> float:
        values = found
        for key in keys:
            values = [value[key] for value in values]
        return float(np.median(np.asarray(values, float)))

    graphs = {
        name: ColdGraph(
            load_ms=median("graphs", name, "load_ms"),
            first_run_ms=median("graphs", name, "first_run_ms"),
            memory_bytes=int(median("graphs", name, "memory_bytes")),
        )
        for name in found[0]["graphs"]
    }
    cold = Cold(
        repeats=repeats,
        process_ms=median("process_ms"),
        import_ms=median("import_ms"),
        load_ms=median("load_ms"),
        first_image_ms=median("first_image_ms"),
        peak_bytes=int(median("peak_bytes")),
    )
    return cold, graphs


def _in_a_new_process(target: Target) -> dict[str, Any]:
    asked = {"path": str(target.path), "settings": asdict(target.settings), "started": time.time()}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BundleError(f"{target.path}: cannot be run in a new process ({one_line(last)})")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


_PROGRAM = (
    "import time; first_line = time.time(); from gfnet_benchmark.measure.cold_start import main; main(first_line)"
)


def main(first_line: float) -> None:
    """The new process: reads what to open from its standard input, and writes what it took.

    Args:
        first_line: seconds since 1970 before anything was imported.
    """
    ready = time.time()
    asked = json.load(sys.stdin)
    process = psutil.Process()
    sizes: dict[str, int] = {}
    loaded: dict[str, float] = {}

    def around(name: str, make: Callable[[], Any]) -> Any:
        size, start = process.memory_info().rss, time.perf_counter()
        session = make()
        loaded[name], sizes[name] = time.perf_counter() - start, process.memory_info().rss - size
        return session

    start = time.perf_counter()
    runners = open_runners(Path(asked["path"]), Settings(**asked["settings"]), time.perf_counter, around)
    load_s = time.perf_counter() - start
    square = np.zeros((1, runners.timed.image_size, runners.timed.image_size, 3), np.uint8)
    start = time.perf_counter()
    classify(runners.timed, square, None, [asked["path"]])
    first_s = time.perf_counter() - start
    json.dump(
        {
            "process_ms": 1e3 * (first_line - asked["started"]),
            "import_ms": 1e3 * (ready - first_line),
            "load_ms": 1e3 * load_s,
            "first_image_ms": 1e3 * first_s,
            "peak_bytes": _peak(process),
            "graphs": {
                name: {
                    "load_ms": 1e3 * loaded[name],
                    "first_run_ms": 1e3 * runners.watch.samples[name][0],
                    "memory_bytes": max(sizes[name], 0),
                }
                for name in loaded
            },
        },
        sys.stdout,
    )


def _peak(process: Any) -> int:
    """The most memory that the process ever held, in bytes."""
    info = process.memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return int(info.peak_wset)
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage counts the parent's memory too, from before the program was started
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(peak.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
