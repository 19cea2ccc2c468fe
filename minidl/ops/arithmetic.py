"""Addition, subtraction, multiplication, division, powers; extrema and choice; with broadcasting and type promotion."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.autograd.modes import state
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.backend.dtypes import float32, uint8
from minidl.errors import ArgumentError, DTypeError, GraphError, ShapeError
from minidl.ops.promotion import as_tensor_like, cast, promote, require_tensor, result_type

__all__ = ["add", "broadcast_shape", "div", "maximum", "minimum", "mul", "neg", "pow", "sub", "unbroadcast", "where"]


def unbroadcast(grad: Any, shape: tuple[int, ...]) -> Any:
    """Sum ``grad`` over the axes that broadcasting added or stretched, back to ``shape``."""
    if grad.shape == shape:
        return grad
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and grad.shape[added + i] != 1]
    axes = (*range(added), *stretched)
    if axes:
        grad = grad.sum(axes)
    return grad.reshape(shape)  # (n, ...) without the summed axes -> shape, where they are missing or 1


def _shape(value: Any) -> tuple[int, ...]:
    return getattr(value, "shape", ())


def _broadcast(who: str, operation: type[Function], *operands: Any, **options: Any) -> Any:
    """Apply an operation that broadcasts; NumPy's complaint becomes one that names the operation and both shapes."""
    try:
        return operation.apply(*operands, **options)
    except ValueError as error:
        shapes = [_shape(x) for x in operands]
        try:
            broadcast_shape(*shapes)
        except ValueError:
            raise ShapeError(
                who,
                expected="shapes that broadcast (equal or 1, counted from the last axis)",
                got=" and ".join(str(shape) for shape in shapes),
            ) from None
        raise error


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape; ValueError where there is none."""
    result: list[int] = []
    for axis in range(-max(map(len, shapes)), 0):
        lengths = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(lengths) > 1:
            raise ValueError(shapes)
        result.append(lengths.pop() if lengths else 1)
    return tuple(result)


class Add(Function):
    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = _shape(a), _shape(b)
        return a + b

    def backward(self, grad: Any) -> Any:
        return tuple(unbroadcast(grad, s) if need else None for s, need in zip(self.shapes, self.needs_input_grad))


class Sub(Function):
    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = _shape(a), _shape(b)
        return a - b

    def backward(self, grad: Any) -> Any:
        need_a, need_b = self.needs_input_grad
        shape_a, shape_b = self.shapes
        return unbroadcast(grad, shape_a) if need_a else None, -unbroadcast(grad, shape_b) if need_b else None


class Mul(Function):
    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = _shape(a), _shape(b)
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
        self.shapes = _shape(a), _shape(b)
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
    """a ** b; d/da = b a^(b-1), and 0 where b = 0; d/db = a^b ln a, and 0 where a = 0 and b >= 0."""

    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = _shape(a), _shape(b)
        self.save_for_backward(a, b)
        return a**b

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


class Where(Function):
    """``a`` where the condition holds, else ``b``."""

    def forward(self, condition: Any, a: Any, b: Any) -> Any:
        self.shapes = _shape(a), _shape(b)
        self.save_for_backward(condition)
        return namespace(condition).where(condition, a, b)

    def backward(self, grad: Any) -> Any:
        (condition,) = self.saved_arrays
        _, need_a, need_b = self.needs_input_grad
        return (
            None,
            unbroadcast(Where.evaluate(condition, grad, 0.0), self.shapes[0]) if need_a else None,
            unbroadcast(Where.evaluate(condition, 0.0, grad), self.shapes[1]) if need_b else None,
        )


class Extremum(Function):
    """The larger (or smaller) of two; where they tie each gets half of the gradient, as in torch."""

    def forward(self, a: Any, b: Any, larger: bool) -> Any:
        self.shapes = _shape(a), _shape(b)
        need_a, need_b = self.needs_input_grad
        if need_a or need_b:  # what each gets; beside a NaN neither loses, and both get all, as in torch
            a_loses, b_loses = (a < b, b < a) if larger else (a > b, b > a)
            half = (a == b) * a.dtype.type(0.5)
            self.save_for_backward(~a_loses - half if need_a else None, ~b_loses - half if need_b else None)
        return namespace(a).maximum(a, b) if larger else namespace(a).minimum(a, b)

    def backward(self, grad: Any) -> Any:
        shares = self.saved_arrays
        return tuple(None if f is None else unbroadcast(grad * f, s) for f, s in zip(shares, self.shapes))


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha * other.

    input, other: tensors whose shapes broadcast, arrays or numbers; the result has the common shape and torch's
    promoted dtype. Raises ShapeError where shapes do not broadcast. Source: torch.add.
    """
    if alpha != 1:
        other = other * alpha
    return _broadcast("add", Add, *promote("add", input, other))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input - alpha * other, with broadcasting and type promotion. Booleans are refused. Source: torch.sub."""
    if alpha != 1:
        other = other * alpha
    a, b = promote("sub", input, other)
    if result_type(a, b).kind == "b":
        raise DTypeError("sub", expected="numbers", got="bool", hint="Use ^ (exclusive or) or ~ (not) instead.")
    return _broadcast("sub", Sub, a, b)


def mul(input: Any, other: Any) -> Any:
    """input * other element by element, with broadcasting and type promotion. Source: torch.mul."""
    return _broadcast("mul", Mul, *promote("mul", input, other))


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
        return _broadcast("div", Div, a, b)


class _RoundedDivision(Function):
    """floor or trunc of a / b: piecewise constant, its gradient is zero."""

    def forward(self, a: Any, b: Any, mode: str) -> Any:
        self.shapes = _shape(a), _shape(b)
        xp = namespace(a if hasattr(a, "dtype") else b)
        with ignore_float_errors():
            if mode == "floor":
                return a // b
            quotient = xp.abs(a) // xp.abs(b)
            return (quotient * xp.sign(a) * xp.sign(b)).astype(quotient.dtype)

    def backward(self, grad: Any) -> Any:
        return tuple(unbroadcast(grad * 0, s) if need else None for s, need in zip(self.shapes, self.needs_input_grad))


def _rounded_division(a: Any, b: Any, mode: str) -> Any:
    if mode not in ("floor", "trunc"):
        raise ArgumentError("div", expected='rounding_mode None, "floor" or "trunc"', got=repr(mode))
    if result_type(a, b).kind == "b":
        raise DTypeError("div", expected="numbers for a rounded division", got="bool")
    return _RoundedDivision.apply(a, b, mode=mode)


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
        return cast(_broadcast("pow", Pow, a, b), dtype)
    if dtype.kind in "iu" and isinstance(b, int) and b < 0:
        raise ArgumentError("pow", expected="an exponent of at least 0 for integers", got=str(b), hint="Use .float().")
    with ignore_float_errors():
        return _broadcast("pow", Pow, a, b)


def maximum(input: T, other: Any) -> T:
    """The larger of the two, element by element; NaN wins; ties share the gradient. Source: torch.maximum."""
    require_tensor("maximum", input, other)
    return _broadcast("maximum", Extremum, *promote("maximum", input, other), larger=True)


def minimum(input: T, other: Any) -> T:
    """The smaller of the two, element by element; NaN wins; ties share the gradient. Source: torch.minimum."""
    require_tensor("minimum", input, other)
    return _broadcast("minimum", Extremum, *promote("minimum", input, other), larger=False)


_MISSING: Any = object()


def where(condition: Any, input: Any = _MISSING, other: Any = _MISSING) -> Any:
    """input where condition holds, else other; with condition alone, the places where it is true (not 0).

    condition: a bool tensor; input, other: tensors or numbers; the three shapes broadcast. The places are a tuple of
    int64 tensors, one for each axis. Source: torch.where.
    """
    require_tensor("where", condition)
    if input is _MISSING and other is _MISSING:
        return _places(condition)
    if input is _MISSING or other is _MISSING:
        raise ArgumentError("where", expected="input and other, or neither", got="one of them")
    if condition.data.dtype.kind != "b":
        raise DTypeError("where", expected="a bool condition", got=str(condition.data.dtype), hint="Compare first.")
    if not isinstance(input, BaseTensor) and not isinstance(other, BaseTensor):
        xp = namespace(condition.data)
        dtype = result_type(input, other)
        input = condition._make(xp.asarray(input, dtype))
    a, b = promote("where", as_tensor_like(condition, input), as_tensor_like(condition, other))
    return _broadcast("where", Where, condition, a, b)


def _places(condition: Any) -> tuple[Any, ...]:
    """Where a tensor is not 0: one int64 tensor for each axis."""
    if state.recorder is not None:
        raise GraphError(
            "where",
            expected="input and other inside a captured step",
            got="a condition alone: the size of the result depends on values",
        )
    array = condition.data if condition.data.ndim else condition.data.reshape(1)
    return tuple([condition._make(places) for places in namespace(array).nonzero(array)])
