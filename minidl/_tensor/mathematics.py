"""The wider range of functions as methods of a tensor; the core's are in methods.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from minidl._tensor.methods import Methods
from minidl.ops import accumulation, arithmetic, arrangement, elementwise, gather, linear_algebra, norms, shape

if TYPE_CHECKING:
    from minidl._tensor.tensor import Tensor

__all__ = ["Mathematics"]

Self = TypeVar("Self", bound="Mathematics")


class Mathematics(Methods):
    """``x.erf()`` for ``minidl.erf(x)``, and so on; what each does is said at the function."""

    __slots__ = ()

    def log1p(self: Self) -> Self:
        """See minidl.log1p."""
        return elementwise.log1p(self)

    def expm1(self: Self) -> Self:
        """See minidl.expm1."""
        return elementwise.expm1(self)

    def rsqrt(self: Self) -> Self:
        """See minidl.rsqrt."""
        return elementwise.rsqrt(self)

    def square(self: Self) -> Self:
        """See minidl.square."""
        return elementwise.square(self)

    def reciprocal(self: Self) -> Self:
        """See minidl.reciprocal."""
        return elementwise.reciprocal(self)

    def floor(self: Self) -> Self:
        """See minidl.floor."""
        return elementwise.floor(self)

    def erf(self: Self) -> Self:
        """See minidl.erf."""
        return elementwise.erf(self)

    def where(self: Self, condition: Tensor, other: Any) -> Self:
        """This tensor where the condition holds, else ``other``; see minidl.where."""
        return arithmetic.where(condition, self, other)

    def prod(self: Self, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Self:
        """See minidl.prod."""
        return accumulation.prod(self, dim, keepdim, dtype=dtype)

    def cumsum(self: Self, dim: int, *, dtype: Any = None) -> Self:
        """See minidl.cumsum."""
        return accumulation.cumsum(self, dim, dtype=dtype)

    def logsumexp(self: Self, dim: Any, keepdim: bool = False) -> Self:
        """See minidl.logsumexp."""
        return accumulation.logsumexp(self, dim, keepdim)

    def norm(self: Self, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Self:
        """See minidl.norm."""
        return norms.norm(self, p, dim, keepdim, dtype)

    def mm(self: Self, mat2: Tensor) -> Self:
        """See minidl.mm."""
        return linear_algebra.mm(self, mat2)

    def bmm(self: Self, mat2: Tensor) -> Self:
        """See minidl.bmm."""
        return linear_algebra.bmm(self, mat2)

    def mv(self: Self, vec: Tensor) -> Self:
        """See minidl.mv."""
        return linear_algebra.mv(self, vec)

    def dot(self: Self, tensor: Tensor) -> Self:
        """See minidl.dot."""
        return linear_algebra.dot(self, tensor)

    def outer(self: Self, vec2: Tensor) -> Self:
        """See minidl.outer."""
        return linear_algebra.outer(self, vec2)

    def ravel(self: Self) -> Self:
        """See minidl.ravel."""
        return shape.ravel(self)

    def tile(self: Self, *dims: Any) -> Self:
        """See minidl.tile."""
        return arrangement.tile(self, *dims)

    def roll(self: Self, shifts: Any, dims: Any = None) -> Self:
        """See minidl.roll."""
        return arrangement.roll(self, shifts, dims)

    def tril(self: Self, diagonal: int = 0) -> Self:
        """See minidl.tril."""
        return arrangement.tril(self, diagonal)

    def triu(self: Self, diagonal: int = 0) -> Self:
        """See minidl.triu."""
        return arrangement.triu(self, diagonal)

    def gather(self: Self, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Self:
        """See minidl.gather."""
        return gather.gather(self, dim, index, sparse_grad=sparse_grad)
