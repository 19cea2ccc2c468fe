"""Functions of one element: exponentials, roots, trigonometry, absolute value, limits."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.backend.dtypes import float32
from minidl.errors import ArgumentError, DTypeError
from minidl.ops.arithmetic import Log
from minidl.ops.promotion import cast, require_tensor

__all__ = ["abs", "as_float", "clamp", "cos", "exp", "log", "sign", "sin", "sqrt"]


def as_float(who: str, input: Any) -> Any:
    """The tensor itself if it is floating-point, else as float32, as torch's unary functions do."""
    require_tensor(who, input)
    return input if input.data.dtype.kind == "f" else cast(input, float32)


class Exp(Function):
    def forward(self, x: Any) -> Any:
        with ignore_float_errors():
            y = namespace(x).exp(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved_tensors
        return grad * y


class Sqrt(Function):
    def forward(self, x: Any) -> Any:
        with ignore_float_errors():
            y = namespace(x).sqrt(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved_tensors
        with ignore_float_errors():
            return grad / (2 * y)


class Sin(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return namespace(x).sin(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * Cos.evaluate(x)


class Cos(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return namespace(x).cos(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return -grad * Sin.evaluate(x)


class Abs(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return namespace(x).abs(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * Sign.evaluate(x)


class Sign(Function):
    """-1, 0 or 1: piecewise constant, its gradient is zero."""

    def forward(self, x: Any) -> Any:
        return namespace(x).sign(x)

    def backward(self, grad: Any) -> Any:
        return grad * 0


class Clamp(Function):
    """Limit to [minimum, maximum]; the gradient passes where the input lies within, both ends included."""

    def forward(self, x: Any, minimum: Any, maximum: Any) -> Any:
        within = namespace(x).ones(x.shape, bool)
        if minimum is not None:
            within &= x >= minimum
        if maximum is not None:
            within &= x <= maximum
        self.save_for_backward(within)
        return x.clip(minimum, maximum)

    def backward(self, grad: Any) -> Any:
        (within,) = self.saved_arrays
        return grad * within


def exp(input: T) -> T:
    """e ** input, element by element, of any shape; integers give float32. Source: torch.exp."""
    return Exp.apply(as_float("exp", input))


def log(input: T) -> T:
    """The natural logarithm, element by element; -inf at 0, NaN below; integers give float32. Source: torch.log."""
    return Log.apply(as_float("log", input))


def sqrt(input: T) -> T:
    """The square root, element by element; NaN below 0; integers give float32. Source: torch.sqrt."""
    return Sqrt.apply(as_float("sqrt", input))


def sin(input: T) -> T:
    """The sine of radians, element by element; integers give float32. Source: torch.sin."""
    return Sin.apply(as_float("sin", input))


def cos(input: T) -> T:
    """The cosine of radians, element by element; integers give float32. Source: torch.cos."""
    return Cos.apply(as_float("cos", input))


def abs(input: T) -> T:
    """|input|, element by element; the gradient at 0 is 0. Source: torch.abs."""
    require_tensor("abs", input)
    if input.data.dtype.kind == "b":
        raise DTypeError("abs", expected="numbers", got="bool")
    return Abs.apply(input)


def sign(input: T) -> T:
    """-1, 0 or 1, element by element; the gradient is 0. Source: torch.sign."""
    require_tensor("sign", input)
    if input.data.dtype.kind == "b":
        raise DTypeError("sign", expected="numbers", got="bool")
    return Sign.apply(input)


def clamp(input: T, min: float | None = None, max: float | None = None) -> T:
    """min(max(input, min), max), element by element; the gradient passes where min <= input <= max.

    min, max: numbers; at least one of them. Raises ArgumentError if both are missing. Source: torch.clamp.
    """
    require_tensor("clamp", input)
    for limit in (min, max):
        if limit is not None and not isinstance(limit, (int, float)):
            raise DTypeError("clamp", expected="numbers as limits", got=type(limit).__name__)
    if min is None and max is None:
        raise ArgumentError("clamp", expected="min, max or both", got="neither")
    if input.data.dtype.kind != "f" and (isinstance(min, float) or isinstance(max, float)):
        input = cast(input, float32)
    return Clamp.apply(input, minimum=min, maximum=max)
