"""The shape of a measured run, written by ``gfnet bench`` and by the phone's benchmark alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gfnet.errors import DataError
from gfnet.files import write_text

SCHEMA_VERSION: Literal[1] = 1

Milliseconds = Annotated[float, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Machine(_Record):
    """Where it ran.

    Attributes:
        thermal_state: as the system calls it; ``null`` where it has no such notion.
    """

    device: str
    os: str
    runtime: str
    compute_units: str
    threads: Annotated[int, Field(ge=1)]
    thermal_state: str | None = None


class Timing(_Record):
    """One distribution of times."""

    count: Annotated[int, Field(ge=1)]
    mean_ms: Milliseconds
    median_ms: Milliseconds
    p90_ms: Milliseconds
    p99_ms: Milliseconds


class SubgraphTiming(_Record):
    """One subgraph: loading and first run apart from the steady runs."""

    name: str
    role: Literal["glance", "policy", "focus", "baseline"]
    load_ms: Milliseconds
    first_run_ms: Milliseconds
    steady: Timing


class Loop(_Record):
    """Whole images through the loop.

    Attributes:
        exit_distribution: fraction of images that stopped at each step.
        latency: one image, preprocessed, from glance to answer.
        images_per_second: with decoding and preprocessing, one image at a time.
        ratio_to_baseline: median over rounds of mean latency over the baseline's, same round.
    """

    thresholds: tuple[float, ...] | None
    exit_distribution: tuple[float, ...]
    latency: Timing
    images_per_second: Annotated[float, Field(gt=0)]
    ratio_to_baseline: float | None


class Result(_Record):
    """A measured run.

    Attributes:
        bundle_sha256: digest of the bundle's manifest, which names the digests of everything else.
        revision: git revision of the bundle's folder, if it lies in a repository.
        unreadable: images that could not be read.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    network: str
    precision: str
    bundle_sha256: str
    revision: str | None
    machine: Machine
    images: Annotated[int, Field(ge=1)]
    unreadable: tuple[str, ...]
    rounds: Annotated[int, Field(ge=1)]
    warmup_rounds: Annotated[int, Field(ge=0)]
    subgraphs: tuple[SubgraphTiming, ...]
    baseline: SubgraphTiming | None
    loop: Loop


def write_result_file(path: str | Path, result: Result) -> None:
    """Write a result, whole or not at all."""
    write_text(path, result.model_dump_json(indent=2) + "\n")


def read_result(path: str | Path) -> Result:
    """Read a result.

    Raises:
        DataError: the file is missing, or no result of this schema version.
    """
    try:
        return Result.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (ValidationError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, first["loc"])) or "file"
        raise DataError(f"{path}: no benchmark result ({where}: {first['msg']}); measure it again") from error


def cumulative_latency(result: Result, network: str, steps: int) -> tuple[float, ...]:
    """Milliseconds of sequences of 1 .. T steps: the glance, then policy and focus for every step.

    Medians of the subgraphs' steady runs; cropping and resizing are not in them.

    Args:
        network: name of the network that was measured, as in ``ModelConfig.name``.
        steps: T.

    Raises:
        DataError: the result is of another network, or lacks a subgraph.
    """
    if result.network != network:
        raise DataError(f"the result measures {result.network}, not {network}; measure this network")
    medians = {graph.name: graph.steady.median_ms for graph in result.subgraphs}

    def median(*names: str) -> float:
        for name in names:
            if name in medians:
                return medians[name]
        raise DataError(f"the result of {network} has no subgraph {names[0]}; measure it again")

    totals = [median("glance")]
    for step in range(2, steps + 1):
        # A recurrent classifier's focus is one subgraph for all steps; a cascade's has one for each.
        totals.append(totals[-1] + median("policy") + median(f"focus_{step}", "focus"))
    return tuple(totals)
