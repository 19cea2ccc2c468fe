"""Products, running sums and the logarithm of a sum of exponentials."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.backend.dtypes import int64
from minidl.errors import DTypeError
from minidl.ops.arrangement import Flip
from minidl.ops.elementwise import Exp
from minidl.ops.joining import cat
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import as_float, cast, require_tensor
from minidl.ops.reduction import Axes, normalize_axes, normalize_axis, without_axes

__all__ = ["cumsum", "logsumexp", "prod"]


class CumSum(Function):
    """Running sums along one axis; the gradient is the running sum from the other end."""

    def forward(self, x: Any, axis: int) -> Any:
        self.axis = axis
        return x.cumsum(axis, dtype=x.dtype)

    def backward(self, grad: Any) -> Any:
        reverse = Flip.evaluate(grad, axes=(self.axis,))
        return Flip.evaluate(CumSum.evaluate(reverse, axis=self.axis), axes=(self.axis,))


class LogSumExp(Function):
    """log sum exp(x) over axes, computed without overflow; dx = grad * exp(x - y)."""

    def forward(self, x: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
        xp = namespace(x)
        if x.size:
            peak = x.max(axes, keepdims=True)
        else:  # a maximum of nothing is an error
            peak = xp.zeros([1 if i in axes else n for i, n in enumerate(x.shape)], x.dtype)
        peak = xp.where(xp.isfinite(peak), peak, xp.zeros_like(peak))  # inf - inf would be NaN
        with ignore_float_errors():
            kept = xp.log(xp.exp(x - peak).sum(axes, keepdims=True)) + peak
        self.kept = kept.shape
        y = without_axes(kept, axes, keepdim)
        self.save_for_backward(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved_tensors
        raw = self.saved_arrays[1]
        total = y + namespace(raw).where(raw == -math.inf, math.inf, 0.0).astype(raw.dtype)  # NaN for an empty sum
        with ignore_float_errors():
            return grad.reshape(self.kept) * Exp.evaluate(x - total.reshape(self.kept))


@numpy_names
def cumsum(input: T, dim: int, *, dtype: Any = None) -> T:
    """Running sums along an axis: element i is the sum of the elements 0 to i.

    dtype: of the result (default: the input's; int64 for bool and integers). Raises ArgumentError for an axis out of
    range. Source: torch.cumsum.
    """
    require_tensor("cumsum", input)
    axis = normalize_axis("cumsum", dim, input.data.ndim)
    values: Any = cast(input, dtype or (input.data.dtype if input.data.dtype.kind == "f" else int64))
    return CumSum.apply(values, axis=axis) if values.data.ndim else values.clone()


@numpy_names
def prod(input: T, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> T:
    """The product of all elements, or along one axis.

    keepdim: keep that axis with length 1; dtype: of the result (default: the input's; int64 for bool and integers). The
    gradient is right also where elements are 0: the product is a tree of products of two. Source: torch.prod.
    """
    require_tensor("prod", input)
    values: Any = cast(input, dtype or (input.data.dtype if input.data.dtype.kind == "f" else int64))
    if dim is None:
        if keepdim:
            raise DTypeError("prod", expected="a dim with keepdim=True", got="dim=None")
        return _tree(values.reshape(1, -1)).reshape(())
    axis = normalize_axis("prod", dim, input.data.ndim)
    if not input.data.ndim:
        return values.clone()
    product = _tree(values.movedim(axis, -1))  # (..., n) with the axis last -> (..., 1)
    return product.movedim(-1, axis) if keepdim else product.squeeze(-1)


def _tree(values: Any) -> Any:
    """The product along the last axis, (..., n) -> (..., 1): halves are multiplied until one element is left."""
    length = values.shape[-1]
    if not length:
        return cast(values.sum(-1, keepdim=True) + 1, values.dtype)
    while length > 1:
        half = length // 2
        product = values[..., :half] * values[..., half : 2 * half]
        values = cat([product, values[..., -1:]], -1) if length % 2 else product
        length = half + length % 2
    return values


@numpy_names
def logsumexp(input: T, dim: Axes, keepdim: bool = False) -> T:
    """log sum exp(input) over axes, computed without overflow; -inf for an empty sum; integers give float32.

    dim: an axis or several; keepdim: keep them with length 1. Raises ArgumentError for an axis out of range. Source:
    torch.logsumexp.
    """
    values = as_float("logsumexp", input)
    if dim is None:
        raise DTypeError("logsumexp", expected="dim as an integer or a tuple of them", got="None")
    return LogSumExp.apply(values, axes=normalize_axes("logsumexp", dim, input.data.ndim), keepdim=keepdim)
