"""A kernel of the cuda dialect against its plain twin: same values, inputs untouched, whatever the threads' order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from emulator import Emulator
from kernels.arrays import close, layouts

TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-13}


def orders(x: Any) -> list[Any]:
    """The same values in every memory order that a kernel may meet, among them the GPU's own, (C, N, ...)."""
    found = layouts(x)
    if x.ndim >= 2:
        axes = (1, 0, *range(2, x.ndim))
        found.append(x.transpose(axes).copy().transpose(axes))
    return found


def _arrays(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


def both_orders(emulator: Emulator, call: Callable[[], Any]) -> Any:
    """The result of ``call``, having asserted that the threads' order does not change one bit of it."""
    result = call()
    with emulator.reversed_threads():
        again = call()
    for first, second in zip(_arrays(result), _arrays(again), strict=True):
        assert first.strides == second.strides
        assert first.tobytes() == second.tobytes(), "the result depends on the order of the threads"
    return result


def agree(
    emulator: Emulator, cuda: Callable[..., Any], plain: Callable[..., Any], *arguments: Any, tolerance: float = 0.0
) -> Any:
    """Assert that both functions give the same, to ``tolerance`` (default: by type); the cuda result is returned.

    The plain form gets float64 where the arrays are float32: its own rounding is then no part of the difference.
    """
    before = [x.copy() if isinstance(x, np.ndarray) else x for x in arguments]
    result = both_orders(emulator, lambda: cuda(*arguments))
    wide = [x.astype(np.float64) if getattr(x, "dtype", None) == np.float32 else x for x in arguments]
    for got, expected in zip(_arrays(result), _arrays(plain(*wide)), strict=True):
        assert got.shape == expected.shape
        if got.dtype.kind == "f":
            dtype = next(x.dtype for x in arguments if getattr(x, "dtype", None) in TOLERANCE)
            assert got.dtype == dtype
            close(got, expected, tolerance or TOLERANCE[dtype])
        else:
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)
    for x, old in zip(arguments, before):
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, old)
    return result
