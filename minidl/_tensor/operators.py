"""The operators of Python: ``a + b``, ``a @ b``, ``a < b``, ``a[i]``."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minidl._tensor.writing import Writing
from minidl.autograd.base import BaseTensor
from minidl.ops import arithmetic, comparison, elementwise, indexing, matmul, promotion, rounding

if TYPE_CHECKING:
    from minidl._tensor.tensor import Tensor

__all__ = ["Operators"]

Self = TypeVar("Self", bound="Operators")

_OPERANDS = (BaseTensor, int, float, np.ndarray, np.generic)


def _operand(value: Any) -> bool:
    """Whether a value may stand beside a tensor in an operator."""
    return isinstance(value, _OPERANDS) or hasattr(value, "__cuda_array_interface__")


class Operators(Writing):
    """Operators between tensors, arrays and numbers."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return arithmetic.add(self, other) if _operand(other) else NotImplemented

    def __radd__(self, other: Any) -> Tensor:
        return arithmetic.add(other, self) if _operand(other) else NotImplemented

    def __sub__(self, other: Any) -> Tensor:
        return arithmetic.sub(self, other) if _operand(other) else NotImplemented

    def __rsub__(self, other: Any) -> Tensor:
        return arithmetic.sub(other, self) if _operand(other) else NotImplemented

    def __mul__(self, other: Any) -> Tensor:
        return arithmetic.mul(self, other) if _operand(other) else NotImplemented

    def __rmul__(self, other: Any) -> Tensor:
        return arithmetic.mul(other, self) if _operand(other) else NotImplemented

    def __truediv__(self, other: Any) -> Tensor:
        return arithmetic.div(self, other) if _operand(other) else NotImplemented

    def __rtruediv__(self, other: Any) -> Tensor:
        return arithmetic.div(other, self) if _operand(other) else NotImplemented

    def __floordiv__(self, other: Any) -> Tensor:
        return arithmetic.div(self, other, rounding_mode="floor") if _operand(other) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Tensor:
        return arithmetic.div(other, self, rounding_mode="floor") if _operand(other) else NotImplemented

    def __mod__(self, other: Any) -> Tensor:
        return rounding.remainder(self, other) if _operand(other) else NotImplemented

    def __rmod__(self, other: Any) -> Tensor:
        return rounding.remainder(other, self) if _operand(other) else NotImplemented

    def __pow__(self, other: Any) -> Tensor:
        return arithmetic.pow(self, other) if _operand(other) else NotImplemented

    def __rpow__(self, other: Any) -> Tensor:
        return arithmetic.pow(other, self) if _operand(other) else NotImplemented

    def __matmul__(self, other: Any) -> Tensor:
        return matmul.matmul(self, promotion.as_tensor_like(self, other)) if _operand(other) else NotImplemented

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul.matmul(promotion.as_tensor_like(self, other), self) if _operand(other) else NotImplemented

    __neg__ = arithmetic.neg
    __abs__ = elementwise.abs
    __invert__ = comparison.bitwise_not
    __getitem__ = indexing.getitem

    def __pos__(self: Self) -> Self:
        return self

    def __and__(self, other: Any) -> Tensor:
        return comparison.bits("&", operator.and_, self, other)

    def __or__(self, other: Any) -> Tensor:
        return comparison.bits("|", operator.or_, self, other)

    def __xor__(self, other: Any) -> Tensor:
        return comparison.bits("^", operator.xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    __hash__ = object.__hash__  # where __eq__ is defined, Python would otherwise take it away

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return comparison.eq(self, other) if _operand(other) else NotImplemented

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return comparison.ne(self, other) if _operand(other) else NotImplemented

    def __lt__(self, other: Any) -> Tensor:
        return comparison.lt(self, other) if _operand(other) else NotImplemented

    def __le__(self, other: Any) -> Tensor:
        return comparison.le(self, other) if _operand(other) else NotImplemented

    def __gt__(self, other: Any) -> Tensor:
        return comparison.gt(self, other) if _operand(other) else NotImplemented

    def __ge__(self, other: Any) -> Tensor:
        return comparison.ge(self, other) if _operand(other) else NotImplemented

    __iadd__ = Writing.add_
    __isub__ = Writing.sub_
    __imul__ = Writing.mul_
    __itruediv__ = Writing.div_
    __ipow__ = Writing.pow_

    def __imod__(self: Self, other: Any) -> Self:
        return self._in_place("%=", rounding.remainder, other)

    def __ifloordiv__(self: Self, other: Any) -> Self:
        return self.div_(other, rounding_mode="floor")

    def __iand__(self: Self, other: Any) -> Self:
        return self._in_place("&=", lambda x: x & other)

    def __ior__(self: Self, other: Any) -> Self:
        return self._in_place("|=", lambda x: x | other)

    def __ixor__(self: Self, other: Any) -> Self:
        return self._in_place("^=", lambda x: x ^ other)

    def __iter__(self: Self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))
