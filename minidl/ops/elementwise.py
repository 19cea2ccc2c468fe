"""Functions of one element: exponentials, logarithms, roots, absolute value, limits."""

from __future__ import annotations

import math
from typing import Any

from minidl import kernels
from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.backend.dtypes import float32
from minidl.errors import ArgumentError, DTypeError
from minidl.ops.arithmetic import Log, pow
from minidl.ops.choice import where
from minidl.ops.promotion import as_float, cast, require_tensor

__all__ = [
    "abs",
    "clamp",
    "erf",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "reciprocal",
    "rsqrt",
    "sign",
    "sqrt",
    "square",
]


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


class Expm1(Function):
    """exp(x) - 1, also where exp(x) is close to 1."""

    def forward(self, x: Any) -> Any:
        with ignore_float_errors():
            y = namespace(x).expm1(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved_tensors
        return grad * (y + 1)


class Log1p(Function):
    """log(1 + x), also where x is small."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).log1p(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad / (x + 1)


class Logarithm(Function):
    """The logarithm to a base: 2 or 10."""

    def forward(self, x: Any, base: int) -> Any:
        self.base = base
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).log2(x) if base == 2 else namespace(x).log10(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad / (x * math.log(self.base))


class Square(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return x * x

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * (2 * x)


class Reciprocal(Function):
    """1 / x; the derivative is -y^2."""

    def forward(self, x: Any) -> Any:
        with ignore_float_errors():
            y = 1 / x
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved_tensors
        return -grad * (y * y)


class Rsqrt(Function):
    """1 / sqrt(x); the derivative is -y^3 / 2."""

    def forward(self, x: Any) -> Any:
        with ignore_float_errors():
            y = 1 / namespace(x).sqrt(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved_tensors
        return grad * (y * y * y * -0.5)


class Erf(Function):
    """The error function; the derivative is 2 / sqrt(pi) exp(-x^2)."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return kernels.erf(namespace(x).asarray(x))  # NumPy makes scalars of arrays without axes

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * (Exp.evaluate(-(x * x)) * (2 / math.sqrt(math.pi)))


class Abs(Function):
    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return namespace(x).abs(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * Sign.evaluate(x)


class Sign(Function):
    """-1, 0 or 1, and 0 for NaN, as in torch: piecewise constant, its gradient is zero."""

    def forward(self, x: Any) -> Any:
        return (x > 0) if x.dtype.kind == "b" else (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)

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


def log2(input: T) -> T:
    """The logarithm to base 2, element by element; -inf at 0, NaN below; integers give float32. Source: torch.log2."""
    return Logarithm.apply(as_float("log2", input), base=2)


def log10(input: T) -> T:
    """The logarithm to base 10, element by element; see log2. Source: torch.log10."""
    return Logarithm.apply(as_float("log10", input), base=10)


def sqrt(input: T) -> T:
    """The square root, element by element; NaN below 0; integers give float32. Source: torch.sqrt."""
    return Sqrt.apply(as_float("sqrt", input))


def expm1(input: T) -> T:
    """e ** input - 1, exact also near 0, element by element; integers give float32. Source: torch.expm1."""
    return Expm1.apply(as_float("expm1", input))


def log1p(input: T) -> T:
    """log(1 + input), exact also near 0, element by element; integers give float32. Source: torch.log1p."""
    return Log1p.apply(as_float("log1p", input))


def square(input: T) -> T:
    """input ** 2, element by element; booleans give int64. Source: torch.square."""
    require_tensor("square", input)
    return pow(input, 2) if input.data.dtype.kind == "b" else Square.apply(input)


def reciprocal(input: T) -> T:
    """1 / input, element by element; inf at 0; integers give float32. Source: torch.reciprocal."""
    return Reciprocal.apply(as_float("reciprocal", input))


def rsqrt(input: T) -> T:
    """1 / sqrt(input), element by element; inf at 0, NaN below; integers give float32. Source: torch.rsqrt."""
    return Rsqrt.apply(as_float("rsqrt", input))


def erf(input: T) -> T:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to input; integers give float32.

    Source: torch.erf.
    """
    return Erf.apply(as_float("erf", input))


def abs(input: T) -> T:
    """|input|, element by element; the gradient at 0 is 0. Source: torch.abs."""
    require_tensor("abs", input)
    if input.data.dtype.kind == "b":
        raise DTypeError("abs", expected="numbers", got="bool")
    return Abs.apply(input)


def sign(input: T) -> T:
    """-1, 0 or 1, element by element; the gradient is 0. Source: torch.sign."""
    require_tensor("sign", input)
    return Sign.apply(input)


def clamp(input: T, min: Any = None, max: Any = None) -> T:
    """min(max(input, min), max), element by element; the gradient passes where min <= input <= max.

    min, max: numbers, or tensors that broadcast with input and take its gradient where they limit it; at least one of
    them. Raises ArgumentError if both are missing. Source: torch.clamp.
    """
    require_tensor("clamp", input)
    if min is None and max is None:
        raise ArgumentError("clamp", expected="min, max or both", got="neither")
    if isinstance(min, BaseTensor) or isinstance(max, BaseTensor):
        return _clamp_by_tensors(input, min, max)
    for limit in (min, max):
        if limit is not None and not isinstance(limit, (int, float)):
            raise DTypeError("clamp", expected="numbers or Tensors as limits", got=type(limit).__name__)
    if input.data.dtype.kind != "f" and (isinstance(min, float) or isinstance(max, float)):
        input = cast(input, float32)
    return Clamp.apply(input, minimum=min, maximum=max)


def _clamp_by_tensors(input: Any, low: Any, high: Any) -> Any:
    """Limits that are tensors; NaN in the input or in a limit wins, and where they cross the upper limit does."""
    for limit in (low, high):
        if limit is not None and not isinstance(limit, BaseTensor):
            raise DTypeError("clamp", expected="both limits as Tensors", got=type(limit).__name__)
    result = input
    if low is not None:
        result = where((result >= low) | (result != result), result, low)
    if high is not None:
        result = where((result <= high) | (result != result), result, high)
    return result
