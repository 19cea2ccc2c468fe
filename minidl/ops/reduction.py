"""Reductions over axes: sums, means, variances, truth."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.backend.dtypes import int64, uint8
from minidl.errors import ArgumentError, DTypeError
from minidl.ops.broadcasting import unbroadcast
from minidl.ops.comparison import ne
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import cast, require_float, require_tensor

__all__ = [
    "all",
    "any",
    "count_nonzero",
    "mean",
    "normalize_axes",
    "normalize_axis",
    "std",
    "sum",
    "var",
    "without_axes",
]

Axes = int | tuple[int, ...] | list[int] | None


def normalize_axes(who: str, dim: Axes, ndim: int) -> tuple[int, ...]:
    """The axes as a sorted tuple of numbers in [0, ndim); None (or no axis) means all. Raises ArgumentError."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    axes = []
    for axis in dim if isinstance(dim, (tuple, list)) else (dim,):
        if isinstance(axis, bool) or not hasattr(axis, "__index__"):
            raise DTypeError(who, expected="dim as an integer or a tuple of them", got=repr(dim))
        axis = axis.__index__()
        limit = ndim or 1  # a tensor without axes takes 0 and -1, as in torch
        if not -limit <= axis < limit:
            raise ArgumentError(who, expected=f"dim between {-limit} and {limit - 1}", got=str(axis))
        axes.append(axis % limit)
    if len(set(axes)) != len(axes):
        raise ArgumentError(who, expected="each dim once", got=str(dim))
    return tuple(sorted(axes)) if ndim else ()


def normalize_axis(who: str, dim: Any, ndim: int) -> int:
    """One axis as a number in [0, ndim), 0 for a tensor without axes. Raises ArgumentError, DTypeError."""
    if dim is None or isinstance(dim, (tuple, list)):
        raise DTypeError(who, expected="dim as one integer", got=repr(dim))
    return (normalize_axes(who, dim, ndim) or (0,))[0]


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the reduced axes kept as 1."""
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])


def without_axes(kept: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    """A result whose reduced axes have length 1: as it is with ``keepdim``, else without them."""
    return kept if keepdim else kept.reshape([n for i, n in enumerate(kept.shape) if i not in axes])


class Sum(Function):
    def forward(self, x: Any, axes: tuple[int, ...], keepdim: bool, dtype: Any) -> Any:
        self.shape, self.kept = x.shape, _kept(x.shape, axes)
        return x.sum(axes, dtype=dtype, keepdims=keepdim)

    def backward(self, grad: Any) -> Any:
        return Expand.evaluate(grad.reshape(self.kept), shape=self.shape)  # reduced axes back as 1, then repeated


class Expand(Function):
    """Repeat along axes of length 1 (or new leading ones) without copying."""

    def forward(self, x: Any, shape: tuple[int, ...]) -> Any:
        self.original = x.shape
        return namespace(x).broadcast_to(x, shape)

    def backward(self, grad: Any) -> Any:
        return unbroadcast(grad, self.original)


class Var(Function):
    """sum (x - mean)^2 / (n - correction), or / 0 where that is negative."""

    def forward(self, x: Any, axes: tuple[int, ...], keepdim: bool, correction: float) -> Any:
        self.axes, self.kept = axes, _kept(x.shape, axes)
        self.count = math.prod([x.shape[i] for i in axes])
        self.scale = 1.0 / (self.count - correction) if self.count > correction else math.inf
        self.save_for_backward(x)
        if not self.count:
            return without_axes(namespace(x).full(self.kept, math.nan, x.dtype), axes, keepdim)
        centred = x - x.mean(axes, keepdims=True)
        with ignore_float_errors():
            return (centred * centred).sum(axes, keepdims=keepdim) * self.scale

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        mean = x.sum(self.axes).reshape(self.kept) / max(self.count, 1)
        return grad.reshape(self.kept) * ((x - mean) * (2 * self.scale))


class Std(Var):
    """The square root of the variance; where that is 0 the gradient is 0, as in torch."""

    def forward(self, x: Any, axes: tuple[int, ...], keepdim: bool, correction: float) -> Any:
        y = namespace(x).sqrt(super().forward(x, axes, keepdim, correction))
        self.save_for_backward(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved_tensors
        mean = x.sum(self.axes).reshape(self.kept) / max(self.count, 1)
        divisor = y + (self.saved_arrays[1] == 0)  # 0 becomes 1: x - mean is 0 there
        return (grad / divisor).reshape(self.kept) * ((x - mean) * self.scale)


class Truth(Function):
    """Whether every element, or any, is not zero: bool, or uint8 for uint8, without a gradient."""

    def forward(self, x: Any, axes: tuple[int, ...], keepdim: bool, every: bool) -> Any:
        result = (x.all if every else x.any)(axes, keepdims=keepdim)
        return result.astype(x.dtype) if x.dtype == uint8 else result  # as in torch


@numpy_names
def sum(input: T, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> T:
    """The sum over axes.

    dim: an axis, several, or None for all; keepdim: keep the summed axes with length 1; dtype: of the result (default:
    the input's; int64 for bool and integers). Raises ArgumentError for an axis out of range. Source: torch.sum.
    """
    require_tensor("sum", input)
    axes = normalize_axes("sum", dim, input.data.ndim)
    if dtype is not None:
        input = cast(input, dtype)
    result = None if input.data.dtype.kind == "f" else dtype or int64
    return Sum.apply(input, axes=axes, keepdim=keepdim, dtype=result)


@numpy_names
def mean(input: T, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> T:
    """The arithmetic mean over axes; arguments as for sum; the input must be floating-point. Source: torch.mean."""
    if dtype is not None:
        require_tensor("mean", input)
        input = cast(input, dtype)
    require_float("mean", input)
    axes = normalize_axes("mean", dim, input.data.ndim)
    count = math.prod([input.data.shape[i] for i in axes])
    total: Any = Sum.apply(input, axes=axes, keepdim=keepdim, dtype=None)
    return total * (1.0 / count) if count and count & (count - 1) == 0 else total / count


def _spread_of(
    who: str, operation: type[Var], input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any
) -> Any:
    """var or std; torch's older form says ``unbiased`` (also in the place of dim) for a correction of 1 or 0."""
    require_float(who, input)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and (correction is not None or not isinstance(unbiased, bool)):
        raise ArgumentError(
            who, expected="unbiased as True or False, or a correction", got=f"{unbiased!r} and {correction!r}"
        )
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    if isinstance(correction, bool) or not isinstance(correction, (int, float)):
        raise DTypeError(who, expected="correction as a number", got=repr(correction))
    axes = normalize_axes(who, dim, input.data.ndim)
    return operation.apply(input, axes=axes, keepdim=keepdim, correction=correction)


@numpy_names
def var(
    input: T, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> T:
    """The variance over axes: sum (x - mean)^2 / (n - correction).

    correction: 1 (default) for the sample's variance, 0 for the population's; ``unbiased`` True and False say the same.
    Infinity or NaN where n <= correction. Source: torch.var.
    """
    return _spread_of("var", Var, input, dim, unbiased, keepdim, correction)


@numpy_names
def std(
    input: T, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> T:
    """The standard deviation over axes: the square root of var; its gradient is 0 where it is 0. Source: torch.std."""
    return _spread_of("std", Std, input, dim, unbiased, keepdim, correction)


def _truth(who: str, input: Any, dim: Axes, keepdim: bool, every: bool) -> Any:
    none = isinstance(dim, (tuple, list)) and not dim  # () stands for no axis here, not for all
    return Truth.apply(
        input, axes=() if none else normalize_axes(who, dim, input.data.ndim), keepdim=keepdim, every=every
    )


@numpy_names
def all(input: T, dim: Axes = None, keepdim: bool = False) -> T:
    """Whether all elements are true (not zero), over all or along axes: a bool tensor. Source: torch.all."""
    require_tensor("all", input)
    return _truth("all", input, dim, keepdim, every=True)


@numpy_names
def any(input: T, dim: Axes = None, keepdim: bool = False) -> T:
    """Whether any element is true (not zero), over all or along axes: a bool tensor. Source: torch.any."""
    require_tensor("any", input)
    return _truth("any", input, dim, keepdim, every=False)


@numpy_names
def count_nonzero(input: T, dim: Axes = None) -> T:
    """How many elements are not 0, over all or along axes: int64. Source: torch.count_nonzero."""
    require_tensor("count_nonzero", input)
    return sum(ne(input, 0), dim)
