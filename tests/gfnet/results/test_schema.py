from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

import gfnet
from gfnet.results.schema import Timing, cumulative_latency, schema_text
from result_support import network


def test_the_committed_schema_is_that_of_the_model():
    committed = (Path(gfnet.__file__).parent / "results" / "result.schema.json").read_text()
    assert committed == schema_text(), "run `make schema`"


def test_percentiles_have_to_be_those_of_the_samples():
    samples = tuple(float(i) for i in range(1, 101))
    Timing(count=100, mean_ms=50.5, median_ms=50.5, p90_ms=90.1, p99_ms=99.01, samples_ms=samples)
    with pytest.raises(ValidationError, match="not those of the samples"):
        Timing(count=100, mean_ms=50.5, median_ms=40.5, p90_ms=90.1, p99_ms=99.01, samples_ms=samples)


def test_a_sequence_costs_what_whole_images_took_that_stopped_there():
    assert cumulative_latency(network(lengths=(1.0, 3.5, 8.0))) == (1.0, 3.5, 8.0)
