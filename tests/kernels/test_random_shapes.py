"""Every fast kernel equals its plain twin: random shapes with odd sizes and tails, every memory order, both types.

The twin is given the same numbers in float64. Convolution, products, the fused kernels and groups of parameters have
such tests in their own files.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .arrays import close, normal, tied
from .test_pooling import sizes, windows

# Empty ones, and some of more elements than one piece of work has: these go to the parallel kernels.
RARE = [(0,), (0, 3, 4, 4), (2, 0, 3), (16385,), (33, 1000), (3, 17, 29, 23), (5, 7, 31, 17)]
shapes = st.one_of(st.lists(st.integers(1, 9), max_size=4).map(tuple), st.sampled_from(RARE))
images = st.one_of(
    st.tuples(st.integers(0, 3), st.integers(1, 19), st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([(3, 17, 29, 23), (40, 3, 13, 15), (2, 64, 12, 12)]),
)
layouts = st.sampled_from(["C", "F", "spread", "reversed", "channels last"])
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 99)


def some(count: int) -> Any:
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


def lay(x: Any, layout: str) -> Any:
    """The same values in another order of memory; "channels last" moves axis 1 behind the others."""
    if x.ndim == 0:
        return np.array(x)
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "spread":
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), 99, x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "reversed":
        every = (slice(None, None, -1),) * x.ndim
        return x[every].copy()[every]
    if layout == "channels last" and x.ndim > 2:
        return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    return np.ascontiguousarray(x)


def twins(file: str, name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The cpu form and the plain form of a kernel."""
    cpu, plain = (getattr(importlib.import_module(f"minidl.kernels.{dialect}.{file}"), name) for dialect in DIALECTS)
    assert cpu is not plain
    return cpu, plain


DIALECTS = ("cpu", "plain")


def agree(
    names: tuple[str, str], arrays: list[Any], how: list[str], dtype: Any, *rest: Any, single: float = 1e-6
) -> None:
    """Both forms on the same numbers give the same; ``single`` is the tolerance for float32."""
    cpu, plain = twins(*names)
    given = [lay(x.astype(dtype), layout) for x, layout in zip(arrays, how)]
    got, expected = cpu(*given, *rest), plain(*[x.astype(np.float64) for x in given], *rest)
    for a, b in zip(*(result if isinstance(result, tuple) else (result,) for result in (got, expected))):
        assert a.dtype == dtype
        close(a, b, 1e-11 if dtype == np.float64 else single)


POINTWISE: dict[str, tuple[str, int, tuple[Any, ...]]] = {
    "relu_forward": ("activation", 1, ()),
    "relu_backward": ("activation", 2, ()),
    "leaky_relu_forward": ("activation", 1, (0.1,)),
    "leaky_relu_backward": ("activation", 2, (0.1,)),
    "tanh_backward": ("activation", 2, ()),
    "sigmoid_forward": ("activation", 1, ()),
    "sigmoid_backward": ("activation", 2, ()),
    "erf": ("special", 1, ()),
    "gelu_forward": ("special", 1, ()),
    "gelu_backward": ("special", 2, ()),
    "dropout_forward": ("dropout", 1, (0.3, 2**40 + 5, 2**33 + 6, 7)),
}


@pytest.mark.parametrize("name", POINTWISE)
@given(shape=shapes, how=st.tuples(layouts, layouts), dtype=dtypes, special=st.booleans(), seed=seeds)
@some(40)
def test_pointwise(name: str, shape: Any, how: Any, dtype: Any, special: bool, seed: int) -> None:
    file, count, rest = POINTWISE[name]
    arrays = [3 * normal(*shape, seed=seed + 100 * i) for i in range(count)]
    if special and arrays[0].size:
        for array, value in zip(arrays, (np.nan, 0.0)):
            array.flat[seed % array.size] = value
    agree((file, name), [np.asarray(x) for x in arrays], how, dtype, *rest)


@given(
    shape=shapes, how=st.tuples(layouts), dtype=dtypes, logarithm=st.booleans(), axis=st.integers(0, 3), seed=seeds
)  # fmt: skip
@some(50)
def test_softmax(shape: Any, how: Any, dtype: Any, logarithm: bool, axis: int, seed: int) -> None:
    shape = shape or (4,)
    x = 300 * normal(*shape, seed=seed)  # exp overflows unless the largest is subtracted first
    name = "log_softmax_forward" if logarithm else "softmax_forward"
    dim = axis % len(shape) - (len(shape) if seed % 2 else 0)  # from the end, too
    agree(("activation", name), [x], how, dtype, dim, single=2e-6)


def vector(length: int, seed: int, dtype: Any, how: str) -> Any:
    """A parameter of each channel; None in one order, so that it is left out as well."""
    return None if how == "F" else lay(normal(length, seed=seed).astype(dtype), how)


def widened(x: Any) -> Any:
    return None if x is None else x.astype(np.float64)


@given(shape=images, axes=st.integers(2, 4), how=st.tuples(layouts, layouts, layouts), dtype=dtypes, seed=seeds)
@some(50)
def test_batch_norm(shape: Any, axes: int, how: Any, dtype: Any, seed: int) -> None:
    shape, channels = shape[:axes], shape[1]
    x, grad = (lay(normal(*shape, seed=seed + i).astype(dtype) + i, how[i]) for i in range(2))
    weight, bias = (vector(channels, seed + 2 + i, dtype, how[2]) for i in range(2))
    forward, plain_forward = twins("normalization", "batch_norm_forward")
    backward, plain_backward = twins("normalization", "batch_norm_backward")
    affine, plain_affine = twins("normalization", "channel_affine")
    wide = [widened(array) for array in (x, grad, weight, bias)]
    _, mean, _, inverse_std = got = forward(x, weight, bias, 0.1)
    results = [*got, *backward(grad, x, weight, mean, inverse_std), affine(x, mean, inverse_std)]
    expected = [
        *plain_forward(wide[0], *wide[2:], 0.1),
        *plain_backward(wide[1], wide[0], wide[2], mean.astype(np.float64), inverse_std.astype(np.float64)),
        plain_affine(wide[0], mean.astype(np.float64), inverse_std.astype(np.float64)),
    ]
    for a, b in zip(results, expected, strict=True):
        assert a.dtype == dtype
        close(a, b, 1e-11 if dtype == np.float64 else 1e-5)


@given(
    rows=st.one_of(st.integers(0, 40), st.just(700)), classes=st.integers(1, 70), how=st.tuples(layouts, layouts),
    ignore=st.sampled_from([-100, 0, 2]), smoothing=st.sampled_from([0.0, 0.1]), one_scale=st.booleans(),
    dtype=dtypes, seed=seeds,
)  # fmt: skip
@some(50)
def test_cross_entropy(
    rows: int, classes: int, how: Any, ignore: int, smoothing: float, one_scale: bool, dtype: Any, seed: int
) -> None:
    logits = lay(5 * normal(rows, classes, seed=seed).astype(dtype), how[0])
    target = lay(np.random.default_rng(seed).integers(0, classes, rows), how[1])
    weight = vector(classes, seed + 1, dtype, how[1])
    scale = np.asarray(normal(*(() if one_scale else (rows,)), seed=seed + 2), dtype)
    settings = ignore, smoothing
    forward, plain_forward = twins("loss", "cross_entropy_forward")
    backward, plain_backward = twins("loss", "cross_entropy_backward")
    losses, probabilities = forward(logits, target, weight, *settings)
    gradient = backward(scale, probabilities, target, weight, *settings)
    wide = plain_forward(widened(logits), target, widened(weight), *settings)
    expected = plain_backward(widened(scale), widened(probabilities), target, widened(weight), *settings)
    for a, b in ((losses, wide[0]), (probabilities, wide[1]), (gradient, expected)):
        assert a.dtype == dtype
        close(a, b, 1e-11 if dtype == np.float64 else 3e-6)


# name -> file, number of buffers, settings; the buffers hold positive numbers
OPTIMIZERS: dict[str, tuple[str, int, tuple[Any, ...]]] = {
    "sgd_update": ("optimizer", 1, (0.1, 0.9, 0.2, 0.1, False, True, False)),
    "adam_update": ("optimizer", 3, (0.1, 0.8, 0.9, 1e-3, 0.1, True, False, 3)),
    "adagrad_update": ("optimizer_adagrad", 1, (0.1, 0.2, 1e-3, 0.1, True, 4)),
    "rmsprop_update": ("optimizer_adagrad", 3, (0.1, 0.8, 0.1, 0.1, 0.9, True)),
    "adadelta_update": ("optimizer_adagrad", 2, (0.5, 0.8, 1e-3, 0.1, False)),
    "adamax_update": ("optimizer_adamax", 2, (0.1, 0.8, 0.9, 1e-3, 0.1, True, 3)),
    "nadam_update": ("optimizer_adamax", 2, (0.1, 0.8, 0.9, 1e-3, 0.1, True, True, 3, 0.8, 0.85, 0.5)),
    "radam_update": ("optimizer_adamax", 2, (0.1, 0.8, 0.9, 1e-3, 0.1, False, False, 9)),
    "asgd_update": ("optimizer_asgd", 1, (0.1, 0.5, 0.3, 0.1, True)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(shape=shapes, how=st.tuples(layouts, layouts), dtype=dtypes, seed=seeds)
@some(30)
def test_optimizers(name: str, shape: Any, how: Any, dtype: Any, seed: int) -> None:
    """Parameter and buffers in one order, the gradient in another; what is written lies in the arrays given."""
    file, buffers, settings = OPTIMIZERS[name]
    values = [np.asarray(normal(*shape, seed=seed + 100 * i)).astype(dtype) for i in range(2 + buffers)]
    values[2:] = [np.abs(x) + dtype(1) for x in values[2:]]
    given = [lay(np.asarray(x), how[i == 1]) for i, x in enumerate(values)]
    if name == "rmsprop_update":  # the centred mean's square stays below the mean of squares
        given[3] *= dtype(0.1)
    wide = [x.astype(np.float64) for x in given]
    before = given[1].copy()
    cpu, plain = twins(file, name)
    cpu(*given, *settings)
    plain(*wide, *settings)
    for a, b in zip(given, wide):
        close(a, b, 1e-11 if dtype == np.float64 else 5e-6)
    np.testing.assert_array_equal(given[1], before)


@given(
    stored=st.integers(1, 5), size=st.tuples(st.integers(1, 9), st.integers(1, 9)), channels=st.sampled_from([1, 3, 4]),
    count=st.one_of(st.integers(0, 9), st.just(300)), padding=st.integers(0, 10), flip=st.sampled_from([0.0, 0.5, 1.0]),
    how=st.tuples(layouts, layouts, layouts), seed=seeds,
)  # fmt: skip
@some(50)
def test_augmentation(
    stored: int, size: Any, channels: int, count: int, padding: int, flip: float, how: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    images = lay(rng.integers(0, 256, (stored, *size, channels), dtype=np.uint8), how[0])
    index = rng.integers(0, stored, count)[:: 1 if seed % 2 else -1]
    mean, std = (lay(rng.uniform(0.2, 0.8, channels).astype(np.float32), how[i]) for i in (1, 2))
    arguments = images, index, padding, flip, mean, std, seed * 2**34, 2**33 + seed, 3
    cpu, plain = twins("augmentation", "augment_batch")
    got = cpu(*arguments)
    assert got.dtype == np.float32
    close(got, plain(*arguments), 5e-7)


@given(shape=images, how=layouts, dtype=dtypes, seed=seeds)
@some(50)
def test_layout(shape: Any, how: str, dtype: Any, seed: int) -> None:
    x = lay(normal(*shape, seed=seed, dtype=dtype), how)
    for name in ("contiguous", "to_channels_last"):
        cpu, plain = twins("layout", name)
        got, expected = cpu(x), plain(x)
        np.testing.assert_array_equal(got, expected)
        assert (got is x) == (expected is x)
        memory = got if name == "contiguous" else got.transpose(0, 2, 3, 1)
        assert memory.flags.c_contiguous


def many(case: dict[str, Any], wanted: bool) -> dict[str, Any]:
    """The case, where wanted of more images than one piece of work has."""
    return {**case, "shape": (120, *case["shape"][1:])} if wanted and case["shape"][0] == 1 else case


@given(case=windows, large=st.booleans(), pairs=st.booleans(), how=st.tuples(layouts, layouts), dtype=dtypes)
@some(60)
def test_max_pooling(case: dict[str, Any], large: bool, pairs: bool, how: Any, dtype: Any) -> None:
    case = many(case, large)
    if pairs:  # the common pooling has kernels of its own, one for few channels and one for many
        N, C, H, W = case["shape"]
        common = {"kernel": (2, 2), "stride": (2, 2), "pad": (False, False), "dilation": (1, 1), "ceil_mode": False}
        case = {**case, **common, "shape": (N, 17 if C > 1 else 1, H + 1, W + 1)}
    padding, output = sizes(case, case["dilation"])
    x = lay(tied(*case["shape"], seed=case["seed"], dtype=dtype), how[0])
    grad = lay(normal(*case["shape"][:2], *output, seed=1).astype(dtype), how[1])
    window = case["kernel"], case["stride"], padding, case["dilation"]
    forward, plain_forward = twins("pooling", "max_pool2d_forward")
    backward, plain_backward = twins("pooling", "max_pool2d_backward")
    y, positions = forward(x, *window, output)
    expected, expected_positions = plain_forward(x, *window, output)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(positions, expected_positions)
    positions = lay(positions, how[0])
    used = [np.full(x.shape, 7, dtype) for _ in range(4)]
    del used  # so that in the memory which the kernel is given it does not find zeros by chance
    dx = backward(grad, positions, x.shape, *window)
    assert y.dtype == dx.dtype == dtype
    close(dx, plain_backward(widened(grad), positions, x.shape, *window), 1e-11 if dtype == np.float64 else 1e-6)


@given(
    case=windows, large=st.booleans(), count_include_pad=st.booleans(), divisor=st.sampled_from([None, 3]),
    how=st.tuples(layouts, layouts), dtype=dtypes,
)  # fmt: skip
@some(50)
def test_average_pooling(
    case: dict[str, Any], large: bool, count_include_pad: bool, divisor: int | None, how: Any, dtype: Any
) -> None:
    case = many(case, large)
    padding, output = sizes(case, (1, 1))
    window, rest = (case["kernel"], case["stride"], padding), (count_include_pad, divisor)
    agree(("pooling", "avg_pool2d_forward"), [normal(*case["shape"])], how, dtype, *window, output, *rest)
    grad = normal(*case["shape"][:2], *output)
    agree(("pooling", "avg_pool2d_backward"), [grad], how[1:], dtype, case["shape"], *window, *rest)


@given(
    shape=images,
    output=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    how=st.tuples(layouts, layouts),
    dtype=dtypes,
)
@some(50)
def test_adaptive_pooling(shape: Any, output: Any, how: Any, dtype: Any) -> None:
    agree(("pooling", "adaptive_avg_pool2d_forward"), [normal(*shape)], how, dtype, output)
    agree(("pooling", "adaptive_avg_pool2d_backward"), [normal(*shape[:2], *output)], how[1:], dtype, shape)


@given(shape=images, axes=st.sampled_from([2, 4]), how=st.tuples(layouts), dtype=dtypes)
@some(30)
def test_channel_sum(shape: Any, axes: int, how: Any, dtype: Any) -> None:
    agree(("gemm", "channel_sum"), [normal(*shape[:axes])], how, dtype, single=2e-6)
