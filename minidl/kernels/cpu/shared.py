"""What the Numba kernels have in common: compiler options, the size of a piece of work, flat views, an exponential."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.caching import njit

__all__ = ["EXACT", "GRAIN", "OPTIONS", "exponential", "flat", "flat_in_place"]

# `contract` allows fused multiply-add and nothing else: NaN, infinities and the order of sums stay as written.
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Without it every number is rounded as written. Of a * b + c * d the compiler may fuse either product, and chooses
# differently in copies of one function (in another kernel, or read from the cache). For kernels that wait for memory,
# and must give the same bits whichever copy runs.
EXACT: dict[str, Any] = {**OPTIONS, "fastmath": False}

# Elements in a piece of work. Arrays are cut into pieces of this fixed size, whatever the number of threads, so that
# the bits do not depend on it; an array of one piece goes to a serial kernel, which wakes no second thread (about
# 1 us) and compiles in a third of the time; the parallel kernel calls the same serial one for every piece.
GRAIN = 16384


def flat(*arrays: Any) -> tuple[Any, ...]:
    """Flat arrays of one element order, then a fresh result of the first one's shape and its flat view.

    ``flat(x)`` is (x_flat, y, y_flat), ``flat(grad, x)`` is (grad_flat, x_flat, y, y_flat). The order is that of C, or
    of channels-last memory for 4-D arrays that are not C-contiguous; an array is copied only if it lies otherwise.
    """
    first = arrays[0]
    if first.ndim == 4 and not all(x.flags.c_contiguous for x in arrays):
        batch, channels, height, width = first.shape
        nhwc = np.empty((batch, height, width, channels), dtype=first.dtype)
        views = [channels_last(x).reshape(-1) for x in arrays]
        return (*views, from_channels_last(nhwc), nhwc.reshape(-1))
    result = np.empty(first.shape, dtype=first.dtype)
    return (*[x.reshape(-1) for x in arrays], result, result.reshape(-1))


def flat_in_place(*arrays: Any) -> tuple[Any, ...] | None:
    """Flat views of arrays that all lie densely in the same memory order and have one dtype; None where they do not."""
    first = arrays[0]
    dtype = first.dtype
    if all(x.flags.c_contiguous and x.dtype == dtype for x in arrays):
        return tuple([x.reshape(-1) for x in arrays])
    if any(x.strides != first.strides or x.dtype != dtype for x in arrays):
        return None
    views = tuple([x.ravel(order="K") for x in arrays])
    return views if all(np.may_share_memory(view, x) for view, x in zip(views, arrays)) else None


def exponential(v: Any) -> Any:
    """exp(v) inside a kernel: for float32 in a form that the compiler vectorises, within 2 ulp; libm's for float64."""
    raise NotImplementedError("only inside a Numba kernel")


@overload(exponential)
def _choose_exponential(v: Any) -> Any:
    def single(v: Any) -> Any:
        return _exponential_single(v)

    def double(v: Any) -> Any:
        return math.exp(v)

    return single if v == types.float32 else double


_LOG2_E = np.float32(1.4426950408889634)
# ln 2 in two parts: k * _LN2_HIGH is exact for |k| < 2**9, so that v - k * ln 2 keeps its digits.
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND = np.float32(1.5 * 2**23)  # adding it rounds to an integer, which then stands in the lowest bits
_LOWEST, _HIGHEST = np.float32(-104), np.float32(89)  # beyond these exp is 0 and infinity
# Taylor's coefficients 1/n!, the last three moved a little so that the error is even over |r| <= ln(2) / 2.
_P2, _P3, _P4 = np.float32(0.5), np.float32(1.6666667e-1), np.float32(4.1665796e-2)
_P5, _P6, _P7 = np.float32(8.3334519e-3), np.float32(1.3981999e-3), np.float32(1.9875691e-4)
_ONE = np.float32(1)


@njit(**OPTIONS)
def _exponential_single(v: Any) -> Any:
    """exp(v) = 2**k * exp(r) with k = round(v / ln 2), r = v - k ln 2 and a polynomial of degree 7; NaN stays NaN."""
    v = _LOWEST if v < _LOWEST else v
    v = _HIGHEST if v > _HIGHEST else v
    rounded = v * _LOG2_E + _ROUND
    k = np.float32(rounded).view(np.int32) - np.float32(_ROUND).view(np.int32)
    whole = rounded - _ROUND
    r = v - whole * _LN2_HIGH - whole * _LN2_LOW
    p = ((((_P7 * r + _P6) * r + _P5) * r + _P4) * r + _P3) * r + _P2
    p = p * r * r + r + _ONE
    # 2**k in two factors, because k may reach 128 (overflow) and -150 (subnormal results).
    half = np.int32(k >> 1)
    low = np.int32((half + np.int32(127)) << np.int32(23)).view(np.float32)
    high = np.int32((np.int32(k) - half + np.int32(127)) << np.int32(23)).view(np.float32)
    return p * low * high
