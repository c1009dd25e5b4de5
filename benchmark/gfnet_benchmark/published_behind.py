"""The published curve as the reports draw it behind a measured one."""

from __future__ import annotations

from gfnet_benchmark.result_charts import Behind


def published_behind() -> tuple[Behind, ...]:
    """Nothing yet."""
    return ()
