"""Every function and method, called in many ways: what the CPU computes the stand-in for a GPU computes too.

The table has its cases in float64. Here each name is called with tensors of each dtype, and with numbers, axes and
masks beside them, whatever fits; a call that the CPU refuses is not compared.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from stand_in import StandIn

import minidl
import minidl.nn.functional as F

# What draws numbers, makes tensors of numbers alone, moves or shows them, or is about the graph.
LEFT_OUT = {
    "as_tensor", "backward", "capture", "cpu", "cuda", "default_generator", "detach_", "device", "dropout",
    "dropout2d", "element_size", "empty", "from_dlpack", "from_numpy", "get_float32_matmul_precision", "gpu", "half",
    "item", "keep_freed_memory", "load", "manual_seed", "new_empty", "new_tensor", "normal_", "numpy", "rand",
    "rand_like", "randint", "randn", "randn_like", "randperm", "register_hook", "requires_grad_", "retain_grad",
    "save", "set_float32_matmul_precision", "show_config", "tensor", "to", "tolist", "type_as", "uniform_",
}  # fmt: skip
DTYPES = ("float32", "int64", "uint8", "bool")
OPERATORS = [
    "add", "and_", "eq", "floordiv", "ge", "getitem", "invert", "le", "matmul", "mod", "mul", "ne", "neg", "or_",
    "pos", "pow", "sub", "truediv", "xor",
]  # fmt: skip
FURTHER: dict[str, Callable[..., Any]] = {
    **{f"operator.{name}": getattr(operator, name) for name in OPERATORS},
    **{f"div, {mode}": partial(minidl.div, rounding_mode=mode) for mode in ("floor", "trunc")},
    "sort, largest first": partial(minidl.sort, descending=True),
    "one_hot of 7": partial(F.one_hot, num_classes=7),
}
HOMES: dict[str, Any] = {"minidl": minidl, "functional": F, "Tensor": minidl.Tensor}
FUNCTIONS = FURTHER | {
    f"{home}.{name}": getattr(of, name)
    for home, of in HOMES.items()
    for name in dict.fromkeys(dir(of))
    if not name.startswith("_") and name not in LEFT_OUT and callable(getattr(of, name)) and name[0].islower()
    and not (home == "Tensor" and hasattr(minidl, name))
}  # fmt: skip


def drawn(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers from -3 to 3 with zeros and equal ones among them."""
    values = np.random.default_rng(len(shape)).integers(-3, 4, shape)
    return np.asarray(np.abs(values) if dtype == "uint8" else values).astype(dtype)


def calls(dtype: str) -> Iterator[tuple[Any, ...]]:
    """Arguments to try; arrays among them become tensors."""
    x, y, row = drawn(dtype, (3, 4)), drawn(dtype, (3, 4))[::-1].copy(), drawn(dtype, (4,))
    point, nothing, image = drawn(dtype, ()), drawn(dtype, (0, 3)), drawn(dtype, (2, 3, 4, 4))
    mask, places = x > 0, np.array([[2, 0, 1, 1]])
    for alone in (x, row, point, nothing, image):
        yield (alone,)
    for number in (0, 2, -2, 1.5, True):
        yield x, number
        yield number, x
    yield from ((x, y), (x, row), (row, x), (x, point), (image, image), (x, x.T.copy()), (x, mask), (mask, x))
    yield from ((x, (0, 1)), (x, -1, True), (x, [1, 0]), (x, 0, 1), (x, 1, 3), (x, (4, 3)), (x, 2, 2), (x, None, True))
    yield from ((x, 0, places), (x, 1, np.array([2, 0])), (x, 0, places, x), (x, mask, 2), (mask, x, y), (mask, x, 2))
    yield from ((x, y, row), (x, -1.0, 1.0), (x, 1, 2), (x, 2, 1), (image, (2, 2)), (image, 2, 2), (image, image, row))
    yield from ((x, np.array([0, 3, 1])), (x, drawn("int64", (3,)) % 4), (x, (1, 2)), ([x, y],), ([x, y], 1))
    yield from ((image, drawn(dtype, (2, 3, 2, 2))), (image, drawn(dtype, (3,)), drawn(dtype, (3,))), (x, "cpu"))


def tensors(value: Any, device: str) -> Any:
    """Arguments with their arrays as tensors of a device."""
    if isinstance(value, np.ndarray):
        return minidl.from_numpy(value.copy()).to(device)
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return [tensors(v, device) for v in value]
    return value


def arrays(value: Any) -> Any:
    """A result with arrays in place of its tensors."""
    if isinstance(value, minidl.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, (tuple, list)):
        return [arrays(v) for v in value]
    return value


def outcome(function: Callable[..., Any], arguments: tuple[Any, ...], device: str) -> tuple[Any, Any]:
    """What a call gives, and its first argument afterwards; or None and the error."""
    made = tuple(tensors(a, device) for a in arguments)
    try:
        result = function(*made)
        if hasattr(result, "__next__"):
            result = list(result)
    except Exception as error:
        return None, error
    return arrays(result), arrays(made[0])


def assert_same(got: Any, expected: Any) -> None:
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for g, e in zip(got, expected):
            assert_same(g, e)
    elif isinstance(expected, np.ndarray):
        assert isinstance(got, np.ndarray)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    elif type(expected) in (bool, int, float, str):
        assert got == expected or got != got


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_on_the_cpu(name: str, dtype: str, install: Callable[..., StandIn]) -> None:
    install(2)  # the current one is the first; what works on the second finds its way there
    function = FUNCTIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for arguments in calls(dtype):
            expected, after = outcome(function, arguments, "cpu")
            if isinstance(after, Exception):
                continue
            got, now = outcome(function, arguments, "gpu:1")
            shown = [getattr(a, "shape", a) for a in arguments]
            assert not isinstance(now, Exception), f"{name}{shown}: {type(now).__name__}: {now}"
            try:
                assert_same(got, expected)
                assert_same(now, after)
            except AssertionError as error:
                raise AssertionError(f"{name}{shown}: {error}") from None
