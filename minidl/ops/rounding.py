"""Whole numbers from fractions: floor, ceil, round, trunc; and what a division leaves over."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, is_array, namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError
from minidl.ops.broadcasting import apply_broadcast, shape_of, unbroadcast
from minidl.ops.promotion import promote, require_tensor, result_type
from minidl.ops.values import everywhere

__all__ = ["ceil", "floor", "fmod", "remainder", "round", "trunc"]


class Step(Function):
    """A function that is constant between its steps: its gradient is zero."""

    def backward(self, grad: Any) -> Any:
        return grad * 0


class Floor(Step):
    """The largest integer not above x."""

    def forward(self, x: Any) -> Any:
        return namespace(x).floor(x)


class Ceil(Step):
    """The smallest integer not below x."""

    def forward(self, x: Any) -> Any:
        return namespace(x).ceil(x)


class Trunc(Step):
    """The integer next to x on the way to zero."""

    def forward(self, x: Any) -> Any:
        return namespace(x).trunc(x)


class Round(Step):
    """The nearest integer; of two equally near ones the even one."""

    def forward(self, x: Any) -> Any:
        return namespace(x).rint(x)


class Remainder(Function):
    """a - b * q, where q is a / b rounded down (``floored``) or towards zero; q counts as constant."""

    def forward(self, a: Any, b: Any, floored: bool) -> Any:
        xp = namespace(a if is_array(a) else b)
        self.shapes = shape_of(a), shape_of(b)
        with ignore_float_errors():
            if self.needs_input_grad[1]:
                self.save_for_backward(xp.floor_divide(a, b) if floored else xp.trunc(a / b))
            return (xp.remainder if floored else xp.fmod)(a, b)

    def backward(self, grad: Any) -> Any:
        need_a, need_b = self.needs_input_grad
        return (
            unbroadcast(grad, self.shapes[0]) if need_a else None,
            unbroadcast(-grad * self.saved_arrays[0], self.shapes[1]) if need_b else None,
        )


def _stepped(step: type[Step], who: str, input: Any) -> Any:
    require_tensor(who, input)
    if input.data.dtype.kind == "b":
        raise DTypeError(who, expected="numbers", got="bool")
    return step.apply(input) if input.data.dtype.kind == "f" else input.clone()


def floor(input: T) -> T:
    """The largest integer not above input, in the input's dtype; the gradient is 0. Source: torch.floor."""
    return _stepped(Floor, "floor", input)


def ceil(input: T) -> T:
    """The smallest integer not below input, in the input's dtype; the gradient is 0. Source: torch.ceil."""
    return _stepped(Ceil, "ceil", input)


def trunc(input: T) -> T:
    """input without its fraction, in the input's dtype; the gradient is 0. Source: torch.trunc."""
    return _stepped(Trunc, "trunc", input)


def round(input: T, *, decimals: int = 0) -> T:
    """input rounded to ``decimals`` digits after the point, or before it if negative; the gradient is 0.

    A number in the middle goes to the even side. Raises DTypeError for integers with decimals. Source: torch.round.
    """
    if isinstance(decimals, bool) or not hasattr(decimals, "__index__"):
        raise DTypeError("round", expected="decimals as an integer", got=repr(decimals))
    whole: Any = _stepped(Round, "round", input)
    if not decimals:
        return whole
    if input.data.dtype.kind != "f":
        raise DTypeError("round", expected="a floating-point tensor with decimals", got=str(input.data.dtype))
    values: Any = input
    power = 10.0 ** abs(decimals)
    return Round.apply(values * power) / power if decimals > 0 else Round.apply(values / power) * power


@on_its_device
def _left_over(who: str, input: Any, other: Any, floored: bool) -> Any:
    a, b = promote(who, input, other)
    dtype = result_type(a, b)
    if dtype.kind == "b":
        raise DTypeError(who, expected="numbers", got="bool")
    if dtype.kind in "iu" and not everywhere(getattr(b, "data", b) != 0):
        raise ArgumentError(who, expected="divisors other than 0 for integers", got="0")
    return apply_broadcast(who, Remainder, a, b, floored=floored)


def remainder(input: Any, other: Any) -> Any:
    """input - other * floor(input / other), with the sign of other: what ``%`` gives.

    input, other: tensors whose shapes broadcast, or numbers. The gradient of other is -floor(input / other). Raises
    ArgumentError where integers are divided by 0 (fractions give NaN). Source: torch.remainder.
    """
    return _left_over("remainder", input, other, floored=True)


def fmod(input: Any, other: Any) -> Any:
    """input - other * trunc(input / other), with the sign of input; see remainder. Source: torch.fmod."""
    return _left_over("fmod", input, other, floored=False)
