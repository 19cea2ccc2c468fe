"""Activations: ReLU, leaky ReLU, tanh, sigmoid, softmax."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.errors import DTypeError
from minidl.ops.elementwise import Exp, as_float
from minidl.ops.promotion import cast, require_float, require_tensor
from minidl.ops.reduction import normalize_axes

__all__ = ["leaky_relu", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]


class ReLU(Function):
    def forward(self, x: Any) -> Any:
        y = kernels.relu_forward(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        return ReLUGradient.evaluate(grad, y=self.saved_arrays[0])


class ReLUGradient(Function):
    """The gradient where y > 0, else 0: linear in the gradient, so its own gradient is the same mask."""

    def forward(self, grad: Any, y: Any) -> Any:
        self.save_for_backward(y)
        return kernels.relu_backward(grad, y)

    def backward(self, grad: Any) -> Any:
        return ReLUGradient.evaluate(grad, y=self.saved_arrays[0])


class LeakyReLU(Function):
    def forward(self, x: Any, slope: float) -> Any:
        self.slope = slope
        self.save_for_backward(x)
        return kernels.leaky_relu_forward(x, slope)

    def backward(self, grad: Any) -> Any:
        return LeakyReLUGradient.evaluate(grad, x=self.saved_arrays[0], slope=self.slope)


class LeakyReLUGradient(Function):
    """The gradient where x > 0, else slope times it."""

    def forward(self, grad: Any, x: Any, slope: float) -> Any:
        self.slope = slope
        self.save_for_backward(x)
        return kernels.leaky_relu_backward(grad, x, slope)

    def backward(self, grad: Any) -> Any:
        return LeakyReLUGradient.evaluate(grad, x=self.saved_arrays[0], slope=self.slope)


class Tanh(Function):
    def forward(self, x: Any) -> Any:
        y = kernels.tanh_forward(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        return TanhGradient.evaluate(grad, *self.saved_tensors)


class TanhGradient(Function):
    """grad * (1 - y^2)."""

    def forward(self, grad: Any, y: Any) -> Any:
        self.save_for_backward(grad, y)
        return kernels.tanh_backward(grad, y)

    def backward(self, grad: Any) -> Any:
        inner, y = self.saved_tensors
        return TanhGradient.evaluate(grad, y), grad * inner * y * -2


class Sigmoid(Function):
    def forward(self, x: Any) -> Any:
        y = kernels.sigmoid_forward(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        return SigmoidGradient.evaluate(grad, *self.saved_tensors)


class SigmoidGradient(Function):
    """grad * y * (1 - y)."""

    def forward(self, grad: Any, y: Any) -> Any:
        self.save_for_backward(grad, y)
        return kernels.sigmoid_backward(grad, y)

    def backward(self, grad: Any) -> Any:
        inner, y = self.saved_tensors
        return SigmoidGradient.evaluate(grad, y), grad * inner * (1 - 2 * y)


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


def _apply(who: str, operation: type[Function], input: Any, inplace: bool, **options: Any) -> Any:
    require_float(who, input)
    if not inplace:
        return operation.apply(input, **options)
    return input._in_place(f"{who} with inplace=True", lambda x: operation.apply(x, **options))


def relu(input: T, inplace: bool = False) -> T:
    """max(input, 0), element by element; the gradient at 0 is 0.

    inplace: write the result into the input's memory. Source: torch.nn.functional.relu.
    """
    require_tensor("relu", input)
    if input.data.dtype.kind in "iu":
        return ReLU.apply(input)
    return _apply("relu", ReLU, input, inplace)


def leaky_relu(input: T, negative_slope: float = 0.01, inplace: bool = False) -> T:
    """input where it is above 0, else negative_slope * input.

    inplace: write the result into the input's memory. Source: torch.nn.functional.leaky_relu; Maas et al. 2013.
    """
    if isinstance(negative_slope, bool) or not isinstance(negative_slope, (int, float)):
        raise DTypeError("leaky_relu", expected="negative_slope as a number", got=type(negative_slope).__name__)
    return _apply("leaky_relu", LeakyReLU, input, inplace, slope=float(negative_slope))


def tanh(input: T) -> T:
    """The hyperbolic tangent, element by element; integers give float32. Source: torch.tanh."""
    return Tanh.apply(as_float("tanh", input))


def sigmoid(input: T) -> T:
    """1 / (1 + exp(-input)), element by element; integers give float32. Source: torch.sigmoid."""
    return Sigmoid.apply(as_float("sigmoid", input))


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


def softmax(input: T, dim: int, *, dtype: Any = None) -> T:
    """exp(input) / sum exp(input) along dim, computed without overflow; any shape.

    dtype: to compute in (default: the input's). Source: torch.softmax.
    """
    return _along("softmax", Softmax, _cast("softmax", input, dtype), dim)


def log_softmax(input: T, dim: int, *, dtype: Any = None) -> T:
    """input - log sum exp(input) along dim, computed without overflow; any shape.

    dtype: to compute in (default: the input's). Source: torch.log_softmax.
    """
    return _along("log_softmax", LogSoftmax, _cast("log_softmax", input, dtype), dim)
