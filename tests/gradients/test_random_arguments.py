"""The ten layers that the project is named for, over random shapes, dtypes, memory layouts and arguments, and indexing.

Values and gradients against torch in float64. 50 examples each; 1,000 under the marker ``long``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import minidl
from gradients.checks import relative_error
from minidl.kernels.geometry import pool_output_size

Draw = Callable[[Any], Any]
# The inputs (floating-point ones are differentiated) and the call, made once by either library.
Example = tuple[list[np.ndarray], Callable[..., Any]]


def laid_out(draw: Draw, array: np.ndarray) -> np.ndarray:
    """The same numbers in another order of memory."""
    how = draw(st.sampled_from(("plain", "every second", "reversed axes", "channels last")))
    if how == "every second" and array.ndim:
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), -7, dtype=array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if how == "reversed axes":
        return np.asarray(array, order="F")
    if how == "channels last" and array.ndim == 4:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)  # (N, C, H, W) over NHWC memory
    return array


def values(draw: Draw, shape: tuple[int, ...], kind: str = "normal") -> np.ndarray:
    """Random numbers of a random seed; "ties" from few values, "any" either."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "ties" or (kind == "any" and draw(st.booleans())):
        return rng.integers(-2, 3, shape).astype(np.float64)
    return np.asarray(rng.standard_normal(shape))


def sizes(draw: Draw, least: int, most: int, pair: bool = True) -> Any:
    """One integer or a pair."""
    one = st.integers(least, most)
    return draw(st.one_of(one, st.tuples(one, one)) if pair else one)


def both(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def image(draw: Draw, channels: int, least: tuple[int, int], kind: str = "normal") -> np.ndarray:
    """(N, C, H, W), also with N = 0, or (C, H, W)."""
    lead = draw(st.sampled_from(((), (0,), (1,), (2,), (3,))))
    extra = draw(st.tuples(st.integers(0, 6), st.integers(0, 6)))
    return values(draw, (*lead, channels, *(max(n, 1) + e for n, e in zip(least, extra))), kind)


def conv2d(draw: Draw) -> Example:
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    inner, outer = draw(st.integers(1, 4)), groups * draw(st.integers(1, 4))
    kernel, stride, dilation = sizes(draw, 1, 4), sizes(draw, 1, 3), sizes(draw, 1, 3)
    padding: Any = draw(st.sampled_from(("numbers", "numbers", "same", "valid")))
    if padding == "same":
        stride = 1
    elif padding == "numbers":
        padding = sizes(draw, 0, 3)
    reach = 2 * np.array(both(padding)) if not isinstance(padding, str) else np.zeros(2, int)
    least = np.array(both(dilation)) * (np.array(both(kernel)) - 1) + 1 - reach
    weight = values(draw, (outer, inner, *both(kernel)))
    arrays = [image(draw, groups * inner, tuple(least)), weight]
    if draw(st.booleans()):
        arrays.append(values(draw, (outer,)))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return arrays, lambda m, *x: m.nn.functional.conv2d(*x, **options)


def window(draw: Draw) -> tuple[dict[str, Any], tuple[int, int]]:
    """A window's geometry and the least image that it fits."""
    kernel = sizes(draw, 1, 4)
    half = tuple(k // 2 for k in both(kernel))
    padding = draw(st.one_of(st.integers(0, min(half)), st.tuples(*(st.integers(0, h) for h in half))))
    stride = draw(st.one_of(st.none(), st.integers(1, 3), st.tuples(st.integers(1, 4), st.integers(1, 4))))
    least = np.array(both(kernel)) - 2 * np.array(both(padding))
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    return options, (int(least[0]), int(least[1]))


def max_pool2d(draw: Draw) -> Example:
    options, least = window(draw)
    dilation = both(sizes(draw, 1, 2))
    kernel = both(options["kernel_size"])
    least = tuple(n + (d - 1) * (k - 1) for n, d, k in zip(least, dilation, kernel))  # type: ignore[assignment]
    options |= {"dilation": dilation, "return_indices": draw(st.booleans())}
    x = image(draw, draw(st.integers(1, 4)), least, "any")
    assume(all(sees_pixels(axis, x.shape[axis - 2], options) for axis in (0, 1)))
    return [x], lambda m, x: m.nn.functional.max_pool2d(x, **options)


def sees_pixels(axis: int, size: int, options: dict[str, Any]) -> bool:
    """Whether every window holds a pixel; of one that holds padding alone torch's gradient is written anywhere."""
    kernel, padding, dilation = (both(options[key])[axis] for key in ("kernel_size", "padding", "dilation"))
    stride = both(options["stride"] or options["kernel_size"])[axis]
    count = pool_output_size(size, kernel, stride, padding, dilation, options["ceil_mode"])
    starts = [i * stride - padding for i in range(count)]
    return all(any(0 <= start + j * dilation < size for j in range(kernel)) for start in starts)


def avg_pool2d(draw: Draw) -> Example:
    options, least = window(draw)
    options |= {
        "count_include_pad": draw(st.booleans()),
        "divisor_override": draw(st.sampled_from((None, None, 1, 3, -2))),
    }
    x = image(draw, draw(st.integers(1, 4)), least)
    return [x], lambda m, x: m.nn.functional.avg_pool2d(x, **options)


def batch_norm(draw: Draw) -> Example:
    channels = draw(st.integers(1, 5))
    rest = draw(st.sampled_from(((), (1,), (4,), (3, 5), (1, 1), (2, 3, 2))))
    shape = (draw(st.integers(2, 4)), channels, *rest)
    training = draw(st.booleans())
    eps, momentum = draw(st.sampled_from((1e-5, 1e-3, 0.5))), draw(st.sampled_from((0.0, 0.1, 0.7, 1.0)))
    affine = draw(st.booleans())
    arrays = [values(draw, shape), values(draw, (channels,)), np.abs(values(draw, (channels,))) + 0.5]
    if affine:
        arrays += [values(draw, (channels,)), values(draw, (channels,))]

    def call(m: Any, x: Any, mean: Any, variance: Any, *weights: Any) -> Any:
        mean, variance = mean.detach().clone(), variance.detach().clone()
        return m.nn.functional.batch_norm(x, mean, variance, *weights, training=training, momentum=momentum, eps=eps), (
            mean,
            variance,
        )

    return arrays, call


def shape(draw: Draw) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(0, 6), max_size=4)))


def dropout(draw: Draw) -> Example:
    """No random numbers agree with torch's: its part is a product with our mask, and the cases without chance."""
    size = shape(draw)
    p, training = draw(st.sampled_from((0, 0.1, 0.5, 0.9, 1.0))), draw(st.booleans())
    seed = draw(st.integers(0, 99))

    def call(m: Any, x: Any) -> Any:
        if m is minidl:
            return minidl.nn.functional.dropout(x, p, training, generator=minidl.Generator(seed))
        if p in (0, 1) or not training:
            return m.nn.functional.dropout(x, p, training)
        ones = minidl.ones(*x.shape, dtype=minidl.float64)
        mask = minidl.nn.functional.dropout(ones, p, generator=minidl.Generator(seed)).numpy()
        assert np.all((mask == 0) | (np.abs(mask * (1 - p) - 1) < 1e-12))
        return x * torch.from_numpy(mask.copy()).to(x.dtype)

    return [values(draw, size)], call


def pointwise(name: str) -> Callable[[Draw], Example]:
    def example(draw: Draw) -> Example:
        arguments = (draw(st.sampled_from((0.01, 0.3, 0.0, -0.5, 1.5))),) if name == "leaky_relu" else ()
        could = name != "tanh" and not (arguments and arguments[0] < 0)  # torch has no in-place form for those
        inplace = {"inplace": True} if could and draw(st.booleans()) else {}
        return [values(draw, shape(draw), "any")], lambda m, x: getattr(m.nn.functional, name)(
            x * 1.0, *arguments, **inplace
        )

    return example


def cross_entropy(draw: Draw) -> Example:
    classes = draw(st.integers(1, 6))
    rest = draw(st.sampled_from((None, (), (3,), (2, 2), (1, 2, 2))))
    size = (classes,) if rest is None else (draw(st.integers(0, 4)), classes, *rest)
    options = {
        "reduction": draw(st.sampled_from(("mean", "sum", "none"))),
        "label_smoothing": draw(st.sampled_from((0.0, 0.1, 1.0))),
    }
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weight = [rng.uniform(0.1, 2, classes)] if draw(st.booleans()) else []
    if draw(st.booleans()):
        target = rng.uniform(0, 1, size)
    else:
        target = np.asarray(rng.integers(0, classes, () if rest is None else (size[0], *size[2:])))
        options["ignore_index"] = draw(st.sampled_from((-100, 0)))

    def call(m: Any, x: Any, y: Any, w: Any = None) -> Any:
        return m.nn.functional.cross_entropy(x, y, None if w is None else w.detach(), **options)

    return [values(draw, size) * draw(st.sampled_from((1, 30))), target, *weight], call


def mse_loss(draw: Draw) -> Example:
    size, reduction = shape(draw), draw(st.sampled_from(("mean", "sum", "none")))
    arrays = [values(draw, size), values(draw, size)]
    if draw(st.booleans()):
        arrays.append(np.asarray(np.abs(values(draw, size)) + 0.1))

    def call(m: Any, x: Any, y: Any, w: Any = None) -> Any:
        weight = {} if w is None else {"weight": w.detach()}
        return m.nn.functional.mse_loss(x, y, reduction=reduction, **weight)

    return arrays, call


def index_part(draw: Draw, length: int) -> Any:
    """One part of an index, for an axis of this length."""
    number = st.integers(-length, length - 1) if length else st.nothing()
    bound = st.one_of(st.none(), st.integers(-length - 2, length + 2))
    kinds = [st.builds(slice, bound, bound, st.one_of(st.none(), st.integers(1, 3)))]
    if length:
        kinds += [number, st.lists(number, min_size=2, max_size=2).map(np.array)]
    return draw(st.one_of(*kinds))


def indexing(draw: Draw) -> Example:
    """Integers, slices, arrays of two, None and Ellipsis in one index; a mask alone."""
    size = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    x = values(draw, size)
    if draw(st.integers(0, 5)) == 0:
        mask = np.random.default_rng(draw(st.integers(0, 99))).random(size[: draw(st.integers(1, len(size)))]) < 0.5
        return [x, mask], lambda m, x, mask: x[mask]
    parts = [index_part(draw, n) for n in size[: draw(st.integers(0, len(size)))]]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()) and len(parts) < len(size):
        parts.append(Ellipsis)

    def call(m: Any, x: Any) -> Any:
        tensors = [m.from_numpy(part) if isinstance(part, np.ndarray) else part for part in parts]
        return x[tuple(tensors)] * 1.0

    return [x], call


EXAMPLES: dict[str, Callable[[Draw], Example]] = {
    "conv2d": conv2d,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "batch_norm": batch_norm,
    "dropout": dropout,
    "relu": pointwise("relu"),
    "leaky_relu": pointwise("leaky_relu"),
    "tanh": pointwise("tanh"),
    "cross_entropy": cross_entropy,
    "mse_loss": mse_loss,
    "indexing": indexing,
}


# Errors allowed in float32 where torch's is smaller: the variance of two values that lie close together loses digits.
SINGLE = {"batch_norm": 1e-3}


def flat(result: Any) -> list[Any]:
    return [t for item in result for t in flat(item)] if isinstance(result, (tuple, list)) else [result]


def run(m: Any, arrays: list[np.ndarray], call: Callable[..., Any], seed: int) -> list[np.ndarray]:
    """Outputs and gradients under a random output gradient, as float64."""
    inputs = [m.from_numpy(array) for array in arrays]
    smooth = [x.requires_grad_(True) for x in inputs if x.is_floating_point()]
    outputs = flat(call(m, *inputs))
    rng = np.random.default_rng(seed)
    for output in outputs:
        if output.requires_grad:
            gradient = m.from_numpy(np.asarray(rng.standard_normal(tuple(output.shape)))).to(output.dtype)
            output.backward(gradient, retain_graph=True)
    gradients = [x.grad if x.grad is not None else x.detach() * 0 for x in smooth]
    return [np.asarray(t.detach().numpy()) for t in (*outputs, *gradients)]


def check(name: str, draw: Draw) -> None:
    arrays, call = EXAMPLES[name](draw)
    single = draw(st.booleans())
    if single:
        arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    ours = run(minidl, [laid_out(draw, a) for a in arrays], call, 3)
    theirs = run(torch, [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays], call, 3)
    # In float32 some gradients are small differences of large numbers: torch's own error says how much is lost.
    rounded = run(torch, arrays, call, 3) if single else theirs
    assert len(ours) == len(theirs)
    for our, their, coarse in zip(ours, theirs, rounded):
        assert our.dtype == coarse.dtype
        if their.dtype == np.float64:
            allowed = max(SINGLE.get(name, 5e-5), 3 * relative_error(coarse, their)) if single else 1e-9
            assert relative_error(our, their) <= allowed
        else:
            np.testing.assert_array_equal(our, their)


@pytest.mark.parametrize("examples", [50, pytest.param(1000, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", EXAMPLES)
def test_random_arguments(name: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def examine(data: Any) -> None:
        check(name, data.draw)

    examine()
