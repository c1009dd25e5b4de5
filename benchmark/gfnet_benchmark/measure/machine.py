"""The machine that something is measured on, and what else it does meanwhile."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

import psutil

from gfnet.results.schema import Conditions, Machine

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe_machine() -> Machine:
    """This machine."""
    return Machine(
        device=_device(),
        os=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=os.cpu_count(),
        memory_bytes=psutil.virtual_memory().total,
        governor=_text(_GOVERNOR),
    )


class LoadMonitor:
    """What the machine does besides, from when this is made until :meth:`conditions` is asked."""

    def __init__(self) -> None:
        self._load = psutil.getloadavg()[0]
        self._start, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def conditions(self) -> Conditions:
        """What was seen so far."""
        seconds = time.monotonic() - self._start
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return Conditions(
            seconds=seconds,
            load_before=self._load,
            load_after=psutil.getloadavg()[0],
            others_cores=max(others, 0.0) / seconds if seconds else None,
            affinity=_affinity(),
            battery_level=None if battery is None else min(battery.percent / 100, 1.0),
            plugged_in=None if battery is None else battery.power_plugged,
        )


def _busy_seconds() -> float:
    """Processor time that all processes used, and what a hypervisor gave to other guests."""
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _affinity() -> tuple[int, ...] | None:
    """The cores that this process may use; ``None`` where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None


def _device() -> str:
    """What the machine is called as a product."""
    product = _text(Path("/sys/devices/virtual/dmi/id/product_name"))
    if platform.system() == "Darwin":
        product = _asked("sysctl", "-n", "hw.model")
    return product or f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    """The processor's name as the system knows it."""
    if platform.system() == "Darwin":
        return _asked("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    for line in (_text(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _asked(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
