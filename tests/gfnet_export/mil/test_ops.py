"""Operations against coremltools' own constant folding, and, where it has none, against plain loops."""

from __future__ import annotations

import itertools

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  its usual name

from gfnet_export.mil.ops import OPS, as_tensor

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
Y = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
POSITIVE = np.abs(X) + 0.1

FOLDED = {
    **{
        name: ((name, {"x": X}))
        for name in ("abs", "exp", "floor", "identity", "relu", "relu6", "sigmoid", "softsign", "square", "tanh")
    },
    **{name: (name, {"x": POSITIVE}) for name in ("rsqrt", "sqrt")},
    **{name: (name, {"x": X, "y": Y}) for name in ("add", "maximum", "minimum", "mul", "real_div", "sub")},
    "pow": ("pow", {"x": POSITIVE, "y": Y}),
    "add, broadcast": ("add", {"x": X, "y": Y[:1, :1]}),
    **{
        f"{name} {axes} {keep}": (name, {"x": X, "axes": axes, "keep_dims": keep})
        for name, axes, keep in itertools.product(
            ("reduce_max", "reduce_mean", "reduce_min", "reduce_sum"), ([1], [0, -1]), (True, False)
        )
    },
    "clip": ("clip", {"x": X, "alpha": -0.5, "beta": 0.7}),
    **{f"gelu {mode}": ("gelu", {"x": X, "mode": mode}) for mode in ("EXACT", "SIGMOID_APPROXIMATION")},
    "leaky_relu": ("leaky_relu", {"x": X, "alpha": 0.2}),
    "sigmoid_hard": ("sigmoid_hard", {"x": 3 * X, "alpha": 0.3, "beta": 0.4}),
    "softmax": ("softmax", {"x": X, "axis": 1}),
    "thresholded_relu": ("thresholded_relu", {"x": X, "alpha": 0.3}),
    "linear": ("linear", {"x": X, "weight": Y[0], "bias": Y[0, :, 0]}),
    "matmul": ("matmul", {"x": X, "y": Y, "transpose_y": True}),
    "matmul, transposed": ("matmul", {"x": X, "y": Y, "transpose_x": True}),
    "cast": ("cast", {"x": 3 * X, "dtype": "int32"}),
    "concat": ("concat", {"values": [X, Y], "axis": 1}),
    "expand_dims": ("expand_dims", {"x": X, "axes": [0, -1]}),
    "reshape": ("reshape", {"x": X, "shape": [0, -1, 3]}),
    "split, equal": ("split", {"x": X, "axis": 1, "num_splits": 3}),
    "split, sizes": ("split", {"x": X, "axis": 1, "split_sizes": [1, 2, 3]}),
    "squeeze": ("squeeze", {"x": X[:, :1], "axes": [1]}),
    "transpose": ("transpose", {"x": X, "perm": [2, 0, 1]}),
}


def folded(kind, parameters):
    """What coremltools makes of an operation on constants."""
    results = []

    @mb.program(input_specs=[mb.TensorSpec(shape=(1,))], opset_version=ct.target.iOS18)
    def _(x):
        found = getattr(mb, kind)(**parameters)
        results.extend(found if isinstance(found, list | tuple) else [found])
        return mb.identity(x=x)

    return [np.asarray(result.val) for result in results]


def tensors(parameters):
    """Parameters as the interpreter hands them over."""
    return {
        name: value
        if isinstance(value, str)
        else [as_tensor(item) for item in value]
        if name == "values"
        else as_tensor(np.asarray(value))
        for name, value in parameters.items()
    }


@pytest.mark.parametrize(("kind", "parameters"), FOLDED.values(), ids=FOLDED.keys())
def test_operations_compute_what_coremltools_folds(kind, parameters):
    ours = OPS[kind](**tensors(parameters))
    theirs = folded(kind, parameters)
    for mine, expected in zip(ours if isinstance(ours, tuple) else (ours,), theirs, strict=True):
        assert tuple(mine.shape) == expected.shape
        np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_interleaving_takes_from_each_in_turn():
    values = [np.array([[1, 2], [3, 4]], np.float32), np.array([[7, 8], [9, 10]], np.float32)]
    found = OPS["concat"](**tensors({"values": values, "axis": 0, "interleave": True}))
    assert found.tolist() == [[1, 2], [7, 8], [3, 4], [9, 10]]  # MIL's reference; coremltools folds it wrongly


def loops(x, kernel, strides, pads, dilations, function):
    """A window slid over an image by hand; ``function`` sees the positions that lie inside of the image."""
    height, width = x.shape
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    rows = (height + sum(pads[0]) - spans[0]) // strides[0] + 1
    columns = (width + sum(pads[1]) - spans[1]) // strides[1] + 1
    result = np.empty((rows, columns))
    for row, column in np.ndindex(rows, columns):
        inside = []
        for i, j in np.ndindex(*kernel):
            y = row * strides[0] + i * dilations[0] - pads[0][0]
            z = column * strides[1] + j * dilations[1] - pads[1][0]
            if 0 <= y < height and 0 <= z < width:
                inside.append(((i, j), x[y, z]))
        result[row, column] = function(inside)
    return result


# Of an image of 6 x 5: what "same" pads, by hand.
PADDINGS = {
    "valid": ((3, 3), (2, 1), (1, 1), None, [(0, 0), (0, 0)]),
    "custom": ((3, 2), (2, 1), (1, 1), [1, 0, 1, 1], [(1, 0), (1, 1)]),
    "same": ((3, 2), (2, 1), (1, 1), None, [(0, 1), (0, 1)]),
    "same_lower": ((3, 2), (2, 1), (1, 1), None, [(1, 0), (1, 0)]),
}


def window(kind):
    kernel, strides, dilations, pad, pads = PADDINGS[kind]
    options = {"strides": strides, "pad_type": kind} | ({"pad": pad} if pad else {})
    return kernel, strides, dilations, pads, options


@pytest.mark.parametrize("kind", PADDINGS)
def test_a_convolution_is_a_sum_over_its_window(kind):
    kernel, strides, _, pads, options = window(kind)
    dilations = (1, 2)
    if kind.startswith("same"):
        pads = [pads[0], (1, 1)]  # the dilated kernel is three wide
    image, weight = X[0], RANDOM.normal(size=kernel).astype(np.float32)
    expected = loops(
        image, kernel, strides, pads, dilations, lambda seen: sum(weight[at] * value for at, value in seen)
    )
    found = OPS["conv"](
        **tensors({"x": image[None, None], "weight": weight[None, None], "dilations": dilations, **options})
    )
    np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_grouped_convolution_keeps_its_groups_apart():
    weight = RANDOM.normal(size=(4, 1, 3, 3)).astype(np.float32)
    x = RANDOM.normal(size=(1, 2, 6, 5)).astype(np.float32)
    found = OPS["conv"](**tensors({"x": x, "weight": weight, "groups": 2, "bias": np.arange(4, dtype=np.float32)}))
    alone = OPS["conv"](**tensors({"x": x[:, 1:], "weight": weight[2:]}))
    torch.testing.assert_close(found[:, 2:], alone + torch.tensor([2.0, 3.0])[:, None, None])


@pytest.mark.parametrize("kind", PADDINGS)
def test_pooling_looks_at_what_is_inside(kind):
    kernel, strides, dilations, pads, options = window(kind)
    x = {"x": X[0][None, None], "kernel_sizes": kernel, **options}
    values = [lambda seen: max(value for _, value in seen), lambda seen: sum(value for _, value in seen)]
    largest, total = (loops(X[0], kernel, strides, pads, dilations, function) for function in values)
    count = loops(X[0], kernel, strides, pads, dilations, len)
    np.testing.assert_allclose(OPS["max_pool"](**tensors(x))[0, 0], largest, rtol=1e-6)
    np.testing.assert_allclose(OPS["avg_pool"](**tensors(x))[0, 0], total / np.prod(kernel), rtol=1e-4, atol=1e-6)
    found = OPS["avg_pool"](**tensors({**x, "exclude_padding_from_average": True}))
    np.testing.assert_allclose(found[0, 0], total / count, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pad", [None, [1, 1, 1, 1]])
@pytest.mark.parametrize("exclude", [True, False])
def test_windows_that_reach_beyond_the_image_are_those_of_torch(pad, exclude):
    x = RANDOM.normal(size=(1, 2, 6, 5)).astype(np.float32)
    options = {"kernel_sizes": (3, 2), "strides": (2, 2), "ceil_mode": True, "pad_type": "custom" if pad else "valid"}
    options |= {"pad": pad} if pad else {}
    sizes = {"kernel_size": (3, 2), "stride": 2, "padding": 1 if pad else 0, "ceil_mode": True}
    found = OPS["avg_pool"](**tensors({"x": x, "exclude_padding_from_average": exclude, **options}))
    torch.testing.assert_close(
        found, torch.nn.functional.avg_pool2d(torch.from_numpy(x), count_include_pad=not exclude, **sizes)
    )
    found = OPS["max_pool"](**tensors({"x": x, **options}))
    torch.testing.assert_close(found, torch.nn.functional.max_pool2d(torch.from_numpy(x), **sizes))


def test_batch_norm_by_hand():
    x, mean, variance = X[:, :, None], X[0, :, 0], POSITIVE[0, :, 0]
    gamma, beta = Y[0, :, 0], Y[1, :, 0]
    found = OPS["batch_norm"](
        **tensors({"x": x, "mean": mean, "variance": variance, "gamma": gamma, "beta": beta, "epsilon": 0.01})
    )
    by_channel = [values[:, None, None] for values in (mean, variance, gamma, beta)]
    expected = (x - by_channel[0]) / np.sqrt(by_channel[1] + 0.01) * by_channel[2] + by_channel[3]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_silu_by_hand():
    np.testing.assert_allclose(OPS["silu"](x=as_tensor(X)), X / (1 + np.exp(-X)), rtol=1e-5)


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
