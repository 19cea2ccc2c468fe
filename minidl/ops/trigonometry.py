"""Sines and their like, in radians, and their inverses; the hyperbolic ones (tanh is in activation.py)."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.ops.broadcasting import apply_broadcast, shape_of, unbroadcast
from minidl.ops.elementwise import Sqrt
from minidl.ops.promotion import as_float, promote, require_tensor

__all__ = ["acos", "asin", "atan", "atan2", "cos", "cosh", "sin", "sinh", "tan"]


class Sin(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).sin(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * Cos.evaluate(x)


class Cos(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).cos(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return -grad * Sin.evaluate(x)


class Tan(Function):
    """sin x / cos x; the derivative is 1 + y^2."""

    def forward(self, x: Any) -> Any:
        with ignore_float_errors():
            y = namespace(x).tan(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved_tensors
        return grad * (y * y + 1)


class Asin(Function):
    """The derivative is 1 / sqrt(1 - x^2)."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).arcsin(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        with ignore_float_errors():
            return grad / Sqrt.evaluate(1 - x * x)


class Acos(Function):
    """The derivative is -1 / sqrt(1 - x^2)."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).arccos(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        with ignore_float_errors():
            return -grad / Sqrt.evaluate(1 - x * x)


class Atan(Function):
    """The derivative is 1 / (1 + x^2)."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return namespace(x).arctan(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad / (x * x + 1)


class Atan2(Function):
    """The angle of the point (x, y), in (-pi, pi]: dy = x / (x^2 + y^2), dx = -y / (x^2 + y^2)."""

    def forward(self, y: Any, x: Any) -> Any:
        self.shapes = shape_of(y), shape_of(x)
        self.save_for_backward(y, x)
        return namespace(y).arctan2(y, x)

    def backward(self, grad: Any) -> Any:
        y, x = self.saved_tensors
        need_y, need_x = self.needs_input_grad
        with ignore_float_errors():
            share = grad / (x * x + y * y)
            return (
                unbroadcast(share * x, self.shapes[0]) if need_y else None,
                unbroadcast(-share * y, self.shapes[1]) if need_x else None,
            )


class Sinh(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).sinh(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * Cosh.evaluate(x)


class Cosh(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).cosh(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * Sinh.evaluate(x)


def sin(input: T) -> T:
    """The sine of radians, element by element; integers give float32. Source: torch.sin."""
    return Sin.apply(as_float("sin", input))


def cos(input: T) -> T:
    """The cosine of radians, element by element; integers give float32. Source: torch.cos."""
    return Cos.apply(as_float("cos", input))


def tan(input: T) -> T:
    """The tangent of radians, element by element; integers give float32. Source: torch.tan."""
    return Tan.apply(as_float("tan", input))


def asin(input: T) -> T:
    """The angle in [-pi/2, pi/2] whose sine is input; NaN where there is none. Source: torch.asin."""
    return Asin.apply(as_float("asin", input))


def acos(input: T) -> T:
    """The angle in [0, pi] whose cosine is input; NaN where there is none. Source: torch.acos."""
    return Acos.apply(as_float("acos", input))


def atan(input: T) -> T:
    """The angle in (-pi/2, pi/2) whose tangent is input; integers give float32. Source: torch.atan."""
    return Atan.apply(as_float("atan", input))


def atan2(input: T, other: Any) -> T:
    """The angle in (-pi, pi] of the point with the ordinate input and the abscissa other; two tensors that broadcast.

    Integers give float32; at the origin the gradients are NaN. Source: torch.atan2.
    """
    require_tensor("atan2", input, other)
    y, x = promote("atan2", input, other)
    return apply_broadcast("atan2", Atan2, as_float("atan2", y), as_float("atan2", x))


def sinh(input: T) -> T:
    """(exp(input) - exp(-input)) / 2, element by element; integers give float32. Source: torch.sinh."""
    return Sinh.apply(as_float("sinh", input))


def cosh(input: T) -> T:
    """(exp(input) + exp(-input)) / 2, element by element; integers give float32. Source: torch.cosh."""
    return Cosh.apply(as_float("cosh", input))
