"""Comparisons and logic: tensors of bool, which carry no gradient."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.backend.arrays import check_same_device, namespace, on_its_device
from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.broadcasting import apply_broadcast
from minidl.ops.promotion import promote, require_tensor

__all__ = [
    "allclose",
    "bits",
    "bitwise_not",
    "eq",
    "equal",
    "ge",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
]


class Compare(Function):
    """A comparison or a combination of bits, element by element; the result is bool or integer and has no gradient."""

    def forward(self, a: Any, b: Any, compare: Callable[[Any, Any], Any]) -> Any:
        return compare(a, b)


class Close(Function):
    """Whether |a - b| <= atol + rtol * |b|, or both are the same infinity, or both NaN where that is to count."""

    def forward(self, a: Any, b: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
        return namespace(a).isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


class Not(Function):
    """Each bit the other way round."""

    def forward(self, x: Any) -> Any:
        return ~x


def _compare(who: str, compare: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    x, y = promote(who, a, b)
    try:
        return Compare.apply(x, y, compare=compare)
    except ValueError:
        raise ShapeError(who, expected="shapes that broadcast", got=f"{x.shape} and {y.shape}") from None


def eq(input: Any, other: Any) -> Any:
    """input == other element by element, with broadcasting: a bool tensor. Source: torch.eq."""
    return _compare("eq", operator.eq, input, other)


def ne(input: Any, other: Any) -> Any:
    """input != other element by element, with broadcasting: a bool tensor. Source: torch.ne."""
    return _compare("ne", operator.ne, input, other)


def lt(input: Any, other: Any) -> Any:
    """input < other element by element, with broadcasting: a bool tensor. Source: torch.lt."""
    return _compare("lt", operator.lt, input, other)


def le(input: Any, other: Any) -> Any:
    """input <= other element by element, with broadcasting: a bool tensor. Source: torch.le."""
    return _compare("le", operator.le, input, other)


def gt(input: Any, other: Any) -> Any:
    """input > other element by element, with broadcasting: a bool tensor. Source: torch.gt."""
    return _compare("gt", operator.gt, input, other)


def ge(input: Any, other: Any) -> Any:
    """input >= other element by element, with broadcasting: a bool tensor. Source: torch.ge."""
    return _compare("ge", operator.ge, input, other)


def bits(who: str, combine: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """Bitwise and, or, exclusive or of bool and integer tensors."""
    for x in (a, b):
        kind = x.data.dtype.kind if isinstance(x, BaseTensor) else "b" if isinstance(x, (bool, int)) else "?"
        if kind not in "biu":
            raise DTypeError(who, expected="bool or integer tensors", got=str(getattr(x, "dtype", type(x).__name__)))
    return _compare(who, combine, a, b)


def bitwise_not(input: T) -> T:
    """not input (bool) or its bitwise complement (integers). Source: torch.bitwise_not."""
    require_tensor("~", input)
    if input.data.dtype.kind == "f":
        raise DTypeError("~", expected="a bool or integer tensor", got=str(input.data.dtype))
    return Not.apply(input)


def isnan(input: T) -> T:
    """Where the elements are NaN: a bool tensor. Source: torch.isnan."""
    require_tensor("isnan", input)
    return ne(input, input)


def isinf(input: T) -> T:
    """Where the elements are infinite: a bool tensor. Source: torch.isinf."""
    require_tensor("isinf", input)
    return (eq(input, math.inf) | eq(input, -math.inf)) if input.data.dtype.kind == "f" else ne(input, input)


def isfinite(input: T) -> T:
    """Where the elements are neither infinite nor NaN: a bool tensor. Source: torch.isfinite."""
    require_tensor("isfinite", input)
    return bitwise_not(isinf(input) | isnan(input))  # type: ignore[operator]


def _tolerances(who: str, *values: Any) -> None:
    for value in values:
        if not is_real(value) or not value >= 0:
            raise ArgumentError(who, expected="rtol and atol as numbers of at least 0", got=repr(value))


def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Where |input - other| <= atol + rtol * |other|: a bool tensor, with broadcasting.

    rtol, atol: numbers of at least 0. Raises DTypeError unless the dtypes are equal. Source: torch.isclose.
    """
    _tolerances("isclose", rtol, atol)
    require_tensor("isclose", input, other)
    if input.data.dtype != other.data.dtype:
        raise DTypeError("isclose", expected="one dtype", got=f"{input.data.dtype} and {other.data.dtype}")
    return apply_broadcast("isclose", Close, input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def _truth(who: str, input: Any) -> Any:
    require_tensor(who, input)
    return input if input.data.dtype.kind == "b" else ne(input, 0)


def logical_and(input: T, other: Any) -> T:
    """Whether both are true (not 0), with broadcasting: a bool tensor. Source: torch.logical_and."""
    return bits("logical_and", operator.and_, _truth("logical_and", input), _truth("logical_and", other))


def logical_or(input: T, other: Any) -> T:
    """Whether one at least is true (not 0), with broadcasting: a bool tensor. Source: torch.logical_or."""
    return bits("logical_or", operator.or_, _truth("logical_or", input), _truth("logical_or", other))


def logical_xor(input: T, other: Any) -> T:
    """Whether just one is true (not 0), with broadcasting: a bool tensor. Source: torch.logical_xor."""
    return bits("logical_xor", operator.xor, _truth("logical_xor", input), _truth("logical_xor", other))


def logical_not(input: T) -> T:
    """Whether the elements are 0 or False: a bool tensor. Source: torch.logical_not."""
    return bitwise_not(_truth("logical_not", input))


@on_its_device
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements. Source: torch.equal."""
    require_tensor("equal", input, other)
    return input.data.shape == other.data.shape and bool((input.data == other.data).all())


@on_its_device
def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere; see isclose. Source: torch.allclose."""
    _tolerances("allclose", rtol, atol)
    require_tensor("allclose", input, other)
    check_same_device("allclose", input.data, other.data)
    return bool(namespace(input.data).allclose(input.data, other.data, rtol=rtol, atol=atol, equal_nan=equal_nan))
