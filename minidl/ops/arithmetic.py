"""Addition, subtraction, multiplication, division, powers, with broadcasting and type promotion."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.backend.dtypes import float32, uint8
from minidl.errors import ArgumentError, DTypeError
from minidl.ops.broadcasting import apply_broadcast, shape_of, unbroadcast
from minidl.ops.choice import Where
from minidl.ops.promotion import cast, promote, require_tensor, result_type
from minidl.ops.values import everywhere

__all__ = ["add", "div", "mul", "neg", "pow", "sub"]


class Add(Function):
    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = shape_of(a), shape_of(b)
        return a + b

    def backward(self, grad: Any) -> Any:
        return tuple(unbroadcast(grad, s) if need else None for s, need in zip(self.shapes, self.needs_input_grad))


class Sub(Function):
    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = shape_of(a), shape_of(b)
        return a - b

    def backward(self, grad: Any) -> Any:
        need_a, need_b = self.needs_input_grad
        shape_a, shape_b = self.shapes
        return unbroadcast(grad, shape_a) if need_a else None, -unbroadcast(grad, shape_b) if need_b else None


class Mul(Function):
    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = shape_of(a), shape_of(b)
        need_a, need_b = self.needs_input_grad
        self.save_for_backward(a if need_b else None, b if need_a else None)
        return a * b

    def backward(self, grad: Any) -> Any:
        a, b = self.saved_tensors
        need_a, need_b = self.needs_input_grad
        return (
            unbroadcast(grad * b, self.shapes[0]) if need_a else None,
            unbroadcast(grad * a, self.shapes[1]) if need_b else None,
        )


class Div(Function):
    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = shape_of(a), shape_of(b)
        self.save_for_backward(a if self.needs_input_grad[1] else None, b)
        return a / b

    def backward(self, grad: Any) -> Any:
        a, b = self.saved_tensors
        need_a, need_b = self.needs_input_grad
        return (
            unbroadcast(grad / b, self.shapes[0]) if need_a else None,
            unbroadcast(-grad * a / (b * b), self.shapes[1]) if need_b else None,
        )


class Neg(Function):
    def forward(self, x: Any) -> Any:
        return -x

    def backward(self, grad: Any) -> Any:
        return -grad


class Pow(Function):
    """a ** b; d/da = b a^(b-1), and 0 where b = 0; d/db = a^b ln a, and 0 where a = 0 and b >= 0.

    Integers to powers below 0 become what torch makes of them: 1 and -1 keep their size, all others give 0.
    """

    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = shape_of(a), shape_of(b)
        self.save_for_backward(a, b)
        if getattr(b, "dtype", None) is None or b.dtype.kind not in "iu" or getattr(a, "dtype", b.dtype).kind == "f":
            return a**b
        whole = a ** abs(b)
        return whole * ((whole == 1) | (whole == -1) | (b >= 0))

    def backward(self, grad: Any) -> Any:
        a, b = self.saved_tensors
        raw_a, raw_b = self.saved_arrays
        need_a, need_b = self.needs_input_grad
        grad_a = grad_b = None
        if need_a:
            if isinstance(raw_b, (int, float)):
                grad_a = grad * (b * a ** (b - 1)) if b != 0 else grad * 0
            else:
                exponent = Where.evaluate(b == 0, 1.0, b)  # so that no 0 ** -1 arises, whose product with 0 is NaN
                grad_a = unbroadcast(grad * (b * a ** (exponent - 1)), self.shapes[0])
        if need_b:
            if isinstance(raw_a, (int, float)):
                logarithm = math.log(raw_a) if raw_a > 0 else 0.0 if raw_a == 0 else math.nan
            else:  # taken of 1 where the derivative is defined to be 0
                logarithm = Log.evaluate(Where.evaluate((a == 0) & (b >= 0), 1.0, a))
            grad_b = unbroadcast(grad * (a**b * logarithm), self.shapes[1])
        return grad_a, grad_b


class Log(Function):
    """The natural logarithm; its public function is in elementwise.py, but powers need it here."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        with ignore_float_errors():
            return namespace(x).log(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad / x


def _scaled(who: str, input: Any, other: Any, alpha: Any) -> Any:
    """other * alpha."""
    if type(alpha) is int and alpha == 1:
        return other
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
        raise DTypeError(who, expected="alpha as a number", got=repr(alpha))
    if isinstance(alpha, float) and result_type(input, other).kind != "f":
        raise DTypeError(who, expected="an integer as alpha for integers", got=repr(alpha))
    return other * alpha


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha * other.

    input, other: tensors whose shapes broadcast, arrays or numbers; the result has the common shape and torch's
    promoted dtype. Raises ShapeError where shapes do not broadcast. Source: torch.add.
    """
    other = _scaled("add", input, other, alpha)
    return apply_broadcast("add", Add, *promote("add", input, other))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input - alpha * other, with broadcasting and type promotion. Booleans are refused. Source: torch.sub."""
    other = _scaled("sub", input, other, alpha)
    a, b = promote("sub", input, other)
    if any(
        isinstance(x, bool) or getattr(getattr(x, "data", None), "dtype", float32).kind == "b" for x in (input, other)
    ):
        raise DTypeError("sub", expected="numbers", got="bool", hint="Use ^ (exclusive or) or ~ (not) instead.")
    return apply_broadcast("sub", Sub, a, b)


def mul(input: Any, other: Any) -> Any:
    """input * other element by element, with broadcasting and type promotion. Source: torch.mul."""
    return apply_broadcast("mul", Mul, *promote("mul", input, other))


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other element by element; integers give float32, and division by 0 gives inf or NaN without a warning.

    rounding_mode: None (true division), "floor" or "trunc" (neither carries a gradient). Source: torch.div.
    """
    a, b = promote("div", input, other)
    if rounding_mode is not None:
        return _rounded_division(a, b, rounding_mode)
    if result_type(a, b).kind != "f":
        a, b = (cast(x, float32) if isinstance(x, BaseTensor) else x for x in (a, b))
    with ignore_float_errors():
        return apply_broadcast("div", Div, a, b)


class _RoundedDivision(Function):
    """floor or trunc of a / b: piecewise constant, its gradient is zero. No integer is divided by 0."""

    def forward(self, a: Any, b: Any, mode: str) -> Any:
        self.shapes = shape_of(a), shape_of(b)
        xp = namespace(a if hasattr(a, "dtype") else b)
        if "f" in (getattr(a, "dtype", xp.int64(0).dtype).kind, getattr(b, "dtype", xp.int64(0).dtype).kind):
            with ignore_float_errors():
                return a // b if mode == "floor" else xp.trunc(a / b)
        if not everywhere(b != 0):
            raise ArgumentError("div", expected="integers other than 0 to divide by", got="0", hint="Use .float().")
        quotient = a // b
        return quotient if mode == "floor" else quotient + ((quotient < 0) & (quotient * b != a))

    def backward(self, grad: Any) -> Any:
        return tuple(unbroadcast(grad * 0, s) if need else None for s, need in zip(self.shapes, self.needs_input_grad))


def _rounded_division(a: Any, b: Any, mode: str) -> Any:
    if mode not in ("floor", "trunc"):
        raise ArgumentError("div", expected='rounding_mode None, "floor" or "trunc"', got=repr(mode))
    if result_type(a, b).kind == "b":
        raise DTypeError("div", expected="numbers for a rounded division", got="bool")
    return apply_broadcast("div", _RoundedDivision, a, b, mode=mode)


def neg(input: T) -> T:
    """-input. Booleans are refused. Source: torch.neg."""
    require_tensor("neg", input)
    if input.data.dtype.kind == "b":
        raise DTypeError("neg", expected="numbers", got="bool", hint="Use ~ (not) instead.")
    return Neg.apply(input)


def pow(input: Any, exponent: Any) -> Any:
    """input ** exponent element by element, with broadcasting; either may be a number. Source: torch.pow."""
    a, b = promote("pow", input, exponent)
    dtype = result_type(a, b)
    if dtype.kind == "b":  # NumPy has no power of bool; as numbers 0 and 1 it stays within them
        a, b = (cast(x, uint8) if isinstance(x, BaseTensor) else int(x) for x in (a, b))
        return cast(apply_broadcast("pow", Pow, a, b), dtype)
    if dtype.kind in "iu" and isinstance(b, int) and b < 0:
        raise ArgumentError("pow", expected="an exponent of at least 0 for integers", got=str(b), hint="Use .float().")
    with ignore_float_errors():
        return apply_broadcast("pow", Pow, a, b)
