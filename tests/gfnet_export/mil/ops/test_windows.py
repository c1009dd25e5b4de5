"""Convolutions and poolings against plain loops and torch: coremltools folds none of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gfnet_export.mil.ops import OPS
from mil_support import compute, tensors

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)


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
    torch.testing.assert_close(found, F.avg_pool2d(torch.from_numpy(x), count_include_pad=not exclude, **sizes))
    found = OPS["max_pool"](**tensors({"x": x, **options}))
    torch.testing.assert_close(found, F.max_pool2d(torch.from_numpy(x), **sizes))


CEILED = [(8, 1, 3, None), (8, 3, 3, None), (7, 2, 2, None), (9, 2, 4, [1, 1]), (8, 3, 4, [2, 2]), (8, 3, 4, [0, 3])]


@pytest.mark.parametrize(("size", "kernel", "stride", "pad"), CEILED)
def test_rounding_up_gives_as_many_windows_as_coremltools_declares(size, kernel, stride, pad):
    from coremltools.converters.mil.mil.ops.defs._utils import spatial_dimensions_out_shape

    kind = "custom" if pad else "valid"
    (declared,) = spatial_dimensions_out_shape(kind, (size,), (kernel,), (stride,), (1,), (*(pad or (0, 0)),), True)
    options = {"kernel_sizes": [kernel], "strides": [stride], "pad_type": kind, "ceil_mode": True}
    options |= {"pad": pad} if pad else {}
    x = np.arange(1, size + 1, dtype=np.float32)
    before = pad[0] if pad else 0
    seen = [
        [x[place] for place in range(begin, begin + kernel) if 0 <= place < size]
        for begin in range(-before, declared * stride - before, stride)
    ]
    largest = compute("max_pool", x=x[None, None], **options)[0, 0]
    assert largest.tolist() == [max(values, default=-np.inf) for values in seen]
    means = compute("avg_pool", x=x[None, None], exclude_padding_from_average=True, **options)[0, 0]
    np.testing.assert_allclose(means, [np.mean(values) if values else 0 for values in seen], rtol=1e-6)
    assert np.isfinite(compute("avg_pool", x=x[None, None], **options)).all()


def test_the_norm_of_a_window():
    x = np.array([[[3.0, 4, 0, 5]]], np.float32)
    assert compute("l2_pool", x=x, kernel_sizes=[2], strides=[2], pad_type="valid").tolist() == [[[5, 5]]]


TRANSPOSED = {
    "valid": ({}, {}),
    "strides": ({"strides": [2, 3]}, {"stride": (2, 3)}),
    "dilations": ({"dilations": [2, 1]}, {"dilation": (2, 1)}),
    "custom": ({"pad_type": "custom", "pad": [1, 1, 0, 0], "strides": [2, 2]}, {"stride": 2, "padding": (1, 0)}),
    "groups": ({"groups": 2}, {"groups": 2}),
    "output_shape": (
        {"strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1], "output_shape": [2, 6, 10, 8]},
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), TRANSPOSED.values(), ids=TRANSPOSED.keys())
def test_a_transposed_convolution_is_that_of_torch(ours, theirs):
    x = RANDOM.normal(size=(2, 4, 5, 4)).astype(np.float32)
    weight = RANDOM.normal(size=(4, 6 // theirs.get("groups", 1), 3, 3)).astype(np.float32)
    if "output_shape" in ours:  # torch takes how far a side grows
        ours = {**ours, "output_shape": [2, 6, 10, 8]}
    bias = np.arange(6, dtype=np.float32)
    expected = F.conv_transpose2d(*(torch.from_numpy(value) for value in (x, weight, bias)), **theirs)
    found = compute("conv_transpose", x=x, weight=weight, bias=bias, **ours)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_a_transposed_convolution_of_the_same_padding_grows_by_its_stride():
    x = np.array([[[1.0, 10]]], np.float32)
    weight = np.array([[[1.0, 2, 3]]], np.float32)
    found = compute("conv_transpose", x=x, weight=weight, strides=[2], pad_type="same")
    assert found.tolist() == [[[1, 2, 13, 20]]]  # of 1 2 13 20 30 the first four: less is cut off in front


@pytest.mark.parametrize("options", [{"strides": [10**9]}, {"dilations": [10**9]}, {"output_shape": [1, 1, 10**9]}])
def test_a_transposed_convolution_that_is_too_large_is_refused(options):
    with pytest.raises(ValueError, match="more elements than any network"):
        OPS["conv_transpose"](**tensors({"x": X[:1, :1], "weight": X[:1, :1], **options}))
