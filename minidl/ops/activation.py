"""Activations: ReLU, leaky ReLU, tanh."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.errors import DTypeError
from minidl.ops.promotion import as_float, require_float, require_tensor

__all__ = ["leaky_relu", "relu", "tanh"]


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


def _apply(who: str, operation: type[Function], input: Any, inplace: bool, **options: Any) -> Any:
    require_float(who, input)
    return _written(who, operation, input, inplace, **options)


def _written(who: str, operation: type[Function], input: Any, inplace: bool, **options: Any) -> Any:
    if not inplace:
        return operation.apply(input, **options)
    return input._in_place(f"{who} with inplace=True", lambda x: operation.apply(x, **options))


def relu(input: T, inplace: bool = False) -> T:
    """max(input, 0), element by element; the gradient at 0 is 0.

    inplace: write the result into the input's memory. Source: torch.nn.functional.relu.
    """
    require_tensor("relu", input)
    if input.data.dtype.kind in "iu":
        return _written("relu", ReLU, input, inplace)
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
