from __future__ import annotations

import numpy as np
import pytest
import torch

from gfnet_export.mil.ops import OPS, as_tensor
from mil_support import tensors

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
POSITIVE = np.abs(X) + 0.1


def test_activations_are_quantised_and_come_back_within_half_a_step():
    scale = np.array([0.02, 0.05], np.float32)
    parameters = {"scale": scale, "zero_point": np.array([3, -7], np.int8), "axis": 0}
    steps = OPS["quantize"](input=as_tensor(X), **tensors(parameters), output_dtype="int8")
    assert steps.dtype == torch.int8
    inside = np.abs(X) < 120 * scale[:, None, None]
    back = OPS["dequantize"](input=steps, **tensors(parameters)).numpy()
    assert (np.abs(back - X) <= scale[:, None, None] / 2 + 1e-6)[inside].all()
    assert 127 in OPS["quantize"](input=as_tensor(1e6 * POSITIVE), **tensors(parameters), output_dtype="int8")


COMPRESSED = {
    "affine": (
        "constexpr_affine_dequantize",
        {
            "quantized_data": RANDOM.integers(-128, 128, (4, 3)).astype(np.int8),
            "zero_point": np.array([1, 2, -3, 4], np.int8),
            "scale": np.array([0.1, 0.2, 0.3, 0.4], np.float32),
            "axis": 0,
        },
    ),
    "sparse": (
        "constexpr_sparse_to_dense",
        {
            "nonzero_data": np.array([1.5, 2.5, 3.5], np.float32),
            "mask": np.array([0b00100101, 0], np.uint8),
            "shape": np.array([3, 4], np.uint32),
        },
    ),
    "palette": (
        "constexpr_lut_to_dense",
        {
            "indices": RANDOM.integers(0, 256, 9).astype(np.uint8),  # 24 indices of three bits
            "lut": np.linspace(-1, 1, 8).astype(np.float32),
            "shape": np.array([4, 6], np.uint32),
        },
    ),
}


@pytest.mark.parametrize(("kind", "parameters"), COMPRESSED.values(), ids=COMPRESSED.keys())
def test_compressed_constants_are_what_coremltools_makes_of_them(kind, parameters):
    from coremltools.converters.mil.mil.ops.defs import iOS16

    decompress = {
        "constexpr_affine_dequantize": iOS16.constexpr_affine_dequantize.decompress,
        "constexpr_sparse_to_dense": iOS16.constexpr_sparse_to_dense.decompress,
        "constexpr_lut_to_dense": iOS16.constexpr_lut_to_dense.decompress,
    }[kind]
    order = {
        "constexpr_affine_dequantize": ("quantized_data", "zero_point", "scale", "axis"),
        "constexpr_sparse_to_dense": ("nonzero_data", "mask", "shape"),
        "constexpr_lut_to_dense": ("lut", "indices", "shape"),
    }[kind]
    expected = decompress(*(parameters[name] for name in order))
    np.testing.assert_allclose(OPS[kind](**tensors(parameters)), expected, rtol=1e-6)


def test_blocks_have_scales_of_their_own():
    data = RANDOM.integers(-8, 8, (4, 6)).astype(np.int8)
    scale = RANDOM.normal(size=(2, 3)).astype(np.float32)
    offset = RANDOM.integers(-8, 8, (2, 3)).astype(np.int8)
    found = OPS["constexpr_blockwise_shift_scale"](**tensors({"data": data, "scale": scale, "offset": offset}))
    for row, column in np.ndindex(4, 6):
        block = row // 2, column // 2
        assert found[row, column] == pytest.approx((float(data[row, column]) - offset[block]) * scale[block])


def test_palettes_of_blocks_and_of_vectors():
    indices = RANDOM.integers(0, 4, (4, 6)).astype(np.uint8)
    palettes = RANDOM.normal(size=(2, 1, 4, 1)).astype(np.float32)
    found = OPS["constexpr_lut_to_dense"](**tensors({"indices": indices, "lut": palettes}))
    for row, column in np.ndindex(4, 6):
        assert found[row, column] == palettes[row // 2, 0, indices[row, column], 0]
    vectors = RANDOM.normal(size=(1, 1, 4, 2)).astype(np.float32)
    found = OPS["constexpr_lut_to_dense"](**tensors({"indices": indices, "lut": vectors, "vector_axis": 0}))
    assert found.shape == (8, 6)
    for row, column in np.ndindex(8, 6):
        assert found[row, column] == vectors[0, 0, indices[row // 2, column], row % 2]


MASK = (RANDOM.random((4, 6)) < 0.6).astype(np.uint8)


@pytest.mark.parametrize("vectors", [False, True])
def test_a_palette_of_what_a_mask_lets_through(vectors):
    from coremltools.converters.mil.mil.ops.defs import iOS18

    indices = RANDOM.integers(0, 4, int(MASK.sum())).astype(np.uint8)
    lut = RANDOM.normal(size=(2, 1, 4, 3 if vectors else 1)).astype(np.float32)
    axis = 0 if vectors else None
    expected = iOS18.constexpr_lut_to_sparse.decompress(MASK, indices, lut, axis)
    parameters = {"indices_mask": MASK, "indices_nonzero_data": indices, "lut": lut}
    parameters |= {"vector_axis": axis} if vectors else {}
    found = OPS["constexpr_lut_to_sparse"](**tensors(parameters))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs)


@pytest.mark.parametrize("shifted", [False, True])
def test_scales_of_what_a_mask_lets_through(shifted):
    from coremltools.converters.mil.mil.ops.defs import iOS18

    data = RANDOM.integers(-8, 8, int(MASK.sum())).astype(np.int8)
    scale = RANDOM.normal(size=(2, 3)).astype(np.float32)
    offset = RANDOM.integers(-8, 8, (2, 3)).astype(np.int8) if shifted else None
    expected = iOS18.constexpr_sparse_blockwise_shift_scale.decompress(MASK, data, scale, offset)
    parameters = {"data_mask": MASK, "nonzero_data": data, "scale": scale} | ({"offset": offset} if shifted else {})
    found = OPS["constexpr_sparse_blockwise_shift_scale"](**tensors(parameters))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-6)
