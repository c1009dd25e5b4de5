"""What the lint finds in programs that are made to be found."""

from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  its usual name
from torch import nn

from gfnet_export.mil.lint import count_operations, lint
from gfnet_export.mil.package import read_package
from gfnet_export.quiet import quietly

WEIGHT = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)


@pytest.fixture
def convert(tmp_path):
    """Write a program or a module as a package, and read its function."""

    def write(source, precision=ct.precision.FLOAT16, **options):
        with quietly():
            model = ct.convert(
                source,
                convert_to="mlprogram",
                minimum_deployment_target=ct.target.iOS16,
                compute_precision=precision,
                skip_model_load=True,
                **options,
            )
        model.save(str(tmp_path / "model.mlpackage"))
        return read_package(tmp_path / "model.mlpackage").function()

    return write


def rules(function):
    return {finding.rule for finding in lint(function)}


def program(shape=(1, 6)):
    return mb.program(input_specs=[mb.TensorSpec(shape=shape)], opset_version=ct.target.iOS16)


def test_a_plain_float16_program_has_nothing_to_find(convert):
    @program((1, 3, 8, 8))
    def plain(x):
        return mb.relu(x=mb.conv(x=x, weight=np.ones((4, 3, 3, 3), np.float32)))

    assert lint(convert(plain)) == []


def test_a_float32_program_and_a_float32_island_are_told_apart(convert):
    @program()
    def layers(x):
        return mb.sigmoid(x=mb.linear(x=mb.relu(x=x), weight=WEIGHT), name="island")

    assert rules(convert(layers, ct.precision.FLOAT32)) == {"float32 program"}
    mixed = ct.transform.FP16ComputePrecision(op_selector=lambda op: op.op_type != "sigmoid")
    (finding,) = lint(convert(layers, mixed))
    assert (finding.rule, finding.operation) == ("float32 island", "sigmoid 'island'")


def test_loops_gathers_and_scatters_are_found(convert):
    with quietly():
        cell = torch.jit.trace(nn.GRU(6, 6).eval(), (torch.zeros(3, 1, 6), torch.zeros(1, 1, 6)))
    found = rules(convert(cell, inputs=[ct.TensorType(shape=(3, 1, 6)), ct.TensorType(shape=(1, 1, 6))]))
    assert {"control flow", "gather or scatter"} <= found


def test_only_slices_at_computed_places_are_found(convert):
    @program((1, 6))
    def fixed(x):
        return mb.slice_by_index(x=x, begin=[0, 1], end=[1, 4])

    @mb.program(
        input_specs=[mb.TensorSpec(shape=(9,)), mb.TensorSpec(shape=(1,), dtype=ct.converters.mil.mil.types.int32)],
        opset_version=ct.target.iOS16,
    )
    def computed(x, begin):
        return mb.slice_by_size(x=x, begin=begin, size=[3])

    assert rules(convert(fixed)) == set()
    assert rules(convert(computed)) == {"dynamic slice"}


def test_a_product_of_rank_two_before_hard_swish_is_found(convert):
    @program()
    def flat(x):
        y = mb.linear(x=x, weight=WEIGHT)
        return mb.mul(x=y, y=mb.sigmoid_hard(x=y, alpha=1 / 6, beta=0.5))

    assert rules(convert(flat)) == {"matmul before hard-swish"}


def test_flexible_shapes_are_found(convert):
    size = ct.RangeDim(4, 16)
    scaled = torch.jit.trace(nn.ReLU(), torch.zeros(1, 3, 8, 8))
    function = convert(scaled, inputs=[ct.TensorType(shape=(1, 3, size, size))])
    (finding,) = [finding for finding in lint(function) if finding.rule == "flexible shapes"]
    assert "it takes [1, 3, 4 .. 16, 4 .. 16], but" in finding.reason
    assert count_operations(function)[0].shapes == ("[1, 3, ?, ?]",)


def test_operations_are_counted_with_their_parameters(convert):
    @program((1, 3, 8, 8))
    def layers(x):
        for _ in range(2):
            x = mb.relu(x=mb.conv(x=x, weight=np.ones((3, 3, 3, 3), np.float32), pad_type="same"))
        return x

    rows = {row.type: row for row in count_operations(convert(layers))}
    assert (rows["conv"].count, rows["relu"].count) == (2, 2)
    assert rows["conv"].parameter_bytes == 2 * 81 * 2  # two constants of 81 halves
    assert rows["conv"].shapes == ("[1, 3, 8, 8]",)
    assert "const" not in rows


def test_constants_beyond_float16_are_found(convert):
    @program((1, 6))
    def scaled(x):
        return mb.mul(x=x, y=np.array([1, 2, 3, 4, 5, -np.inf], np.float32))

    assert "beyond float16" not in rules(convert(scaled, ct.precision.FLOAT32))
    assert rules(convert(scaled)) == {"beyond float16"}
