"""Softmax and its logarithm, along one axis."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.errors import DTypeError
from minidl.ops.elementwise import Exp
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import cast, require_float, require_tensor
from minidl.ops.reduction import normalize_axes

__all__ = ["log_softmax", "softmax"]


class Softmax(Function):
    """y_i = exp(x_i) / sum_j exp(x_j); dx = y * (grad - sum_j grad_j y_j)."""

    def forward(self, x: Any, axis: int) -> Any:
        self.axis = axis
        y = kernels.softmax_forward(x, axis)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved_tensors
        return y * (grad - _kept_sum(grad * y, self.axis))


class LogSoftmax(Function):
    """y_i = x_i - log sum_j exp(x_j); dx = grad - exp(y) * sum_j grad_j."""

    def forward(self, x: Any, axis: int) -> Any:
        self.axis = axis
        y = kernels.log_softmax_forward(x, axis)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved_tensors
        return grad - Exp.evaluate(y) * _kept_sum(grad, self.axis)


def _kept_sum(x: Any, axis: int) -> Any:
    """The sum over one axis, which stays with length 1."""
    shape = x.shape
    return x.sum(axis).reshape(shape[:axis] + (1,) + shape[axis + 1 :])


def _along(who: str, operation: type[Function], input: Any, dim: int) -> Any:
    require_float(who, input)
    if dim is None or isinstance(dim, (tuple, list)):
        raise DTypeError(who, expected="dim as one integer", got=repr(dim), hint="For (N, C) scores it is 1.")
    if not input.data.ndim:
        normalize_axes(who, dim, 0)
        return operation.apply(input.reshape(1), axis=0).reshape(())
    (axis,) = normalize_axes(who, dim, input.data.ndim)
    return operation.apply(input, axis=axis)


def _cast(who: str, input: Any, dtype: Any) -> Any:
    if dtype is None:
        return input
    require_tensor(who, input)
    return cast(input, dtype)


@numpy_names
def softmax(input: T, dim: int, *, dtype: Any = None) -> T:
    """exp(input) / sum exp(input) along dim, computed without overflow; any shape.

    dtype: to compute in (default: the input's). Source: torch.softmax.
    """
    return _along("softmax", Softmax, _cast("softmax", input, dtype), dim)


@numpy_names
def log_softmax(input: T, dim: int, *, dtype: Any = None) -> T:
    """input - log sum exp(input) along dim, computed without overflow; any shape.

    dtype: to compute in (default: the input's). Source: torch.log_softmax.
    """
    return _along("log_softmax", LogSoftmax, _cast("log_softmax", input, dtype), dim)
