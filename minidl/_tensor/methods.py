"""The functions of ``minidl`` as methods of a tensor: arithmetic, reductions, changes of shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from minidl._tensor.description import Description
from minidl.errors import ShapeError
from minidl.ops import activation, arithmetic, arrangement, comparison, elementwise, matmul, reduction, shape

if TYPE_CHECKING:
    from minidl._tensor.tensor import Tensor

__all__ = ["Methods"]

Self = TypeVar("Self", bound="Methods")


class Methods(Description):
    """``x.exp()`` for ``minidl.exp(x)``, and so on; what each does is said at the function."""

    __slots__ = ()

    def add(self: Self, other: Any, *, alpha: float = 1) -> Self:
        """See minidl.add."""
        return arithmetic.add(self, other, alpha=alpha)

    def sub(self: Self, other: Any, *, alpha: float = 1) -> Self:
        """See minidl.sub."""
        return arithmetic.sub(self, other, alpha=alpha)

    def mul(self: Self, other: Any) -> Self:
        """See minidl.mul."""
        return arithmetic.mul(self, other)

    def div(self: Self, other: Any, *, rounding_mode: str | None = None) -> Self:
        """See minidl.div."""
        return arithmetic.div(self, other, rounding_mode=rounding_mode)

    def neg(self: Self) -> Self:
        """See minidl.neg."""
        return arithmetic.neg(self)

    def pow(self: Self, exponent: Any) -> Self:
        """See minidl.pow."""
        return arithmetic.pow(self, exponent)

    def maximum(self: Self, other: Tensor) -> Self:
        """See minidl.maximum."""
        return arithmetic.maximum(self, other)

    def minimum(self: Self, other: Tensor) -> Self:
        """See minidl.minimum."""
        return arithmetic.minimum(self, other)

    def eq(self: Self, other: Any) -> Self:
        """See minidl.eq."""
        return comparison.eq(self, other)

    def ne(self: Self, other: Any) -> Self:
        """See minidl.ne."""
        return comparison.ne(self, other)

    def isnan(self: Self) -> Self:
        """See minidl.isnan."""
        return comparison.isnan(self)

    def exp(self: Self) -> Self:
        """See minidl.exp."""
        return elementwise.exp(self)

    def log(self: Self) -> Self:
        """See minidl.log."""
        return elementwise.log(self)

    def sqrt(self: Self) -> Self:
        """See minidl.sqrt."""
        return elementwise.sqrt(self)

    def sin(self: Self) -> Self:
        """See minidl.sin."""
        return elementwise.sin(self)

    def cos(self: Self) -> Self:
        """See minidl.cos."""
        return elementwise.cos(self)

    def abs(self: Self) -> Self:
        """See minidl.abs."""
        return elementwise.abs(self)

    def sign(self: Self) -> Self:
        """See minidl.sign."""
        return elementwise.sign(self)

    def clamp(self: Self, min: Any = None, max: Any = None) -> Self:
        """See minidl.clamp."""
        return elementwise.clamp(self, min, max)

    def relu(self: Self) -> Self:
        """See minidl.relu."""
        return activation.relu(self)

    def tanh(self: Self) -> Self:
        """See minidl.tanh."""
        return activation.tanh(self)

    def sigmoid(self: Self) -> Self:
        """See minidl.sigmoid."""
        return activation.sigmoid(self)

    def softmax(self: Self, dim: int) -> Self:
        """See minidl.softmax."""
        return activation.softmax(self, dim)

    def log_softmax(self: Self, dim: int) -> Self:
        """See minidl.log_softmax."""
        return activation.log_softmax(self, dim)

    def matmul(self: Self, other: Tensor) -> Self:
        """See minidl.matmul."""
        return matmul.matmul(self, other)

    def sum(self: Self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Self:
        """See minidl.sum."""
        return reduction.sum(self, dim, keepdim, dtype=dtype)

    def mean(self: Self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Self:
        """See minidl.mean."""
        return reduction.mean(self, dim, keepdim, dtype=dtype)

    def var(
        self: Self,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Self:
        """See minidl.var."""
        return reduction.var(self, dim, unbiased, keepdim, correction=correction)

    def std(
        self: Self,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Self:
        """See minidl.std."""
        return reduction.std(self, dim, unbiased, keepdim, correction=correction)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """See minidl.max."""
        return reduction.max(self, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """See minidl.min."""
        return reduction.min(self, dim, keepdim)

    def amax(self: Self, dim: Any = None, keepdim: bool = False) -> Self:
        """See minidl.amax."""
        return reduction.amax(self, dim, keepdim)

    def amin(self: Self, dim: Any = None, keepdim: bool = False) -> Self:
        """See minidl.amin."""
        return reduction.amin(self, dim, keepdim)

    def argmax(self: Self, dim: int | None = None, keepdim: bool = False) -> Self:
        """See minidl.argmax."""
        return reduction.argmax(self, dim, keepdim)

    def argmin(self: Self, dim: int | None = None, keepdim: bool = False) -> Self:
        """See minidl.argmin."""
        return reduction.argmin(self, dim, keepdim)

    def all(self: Self, dim: int | None = None, keepdim: bool = False) -> Self:
        """See minidl.all."""
        return reduction.all(self, dim, keepdim)

    def any(self: Self, dim: int | None = None, keepdim: bool = False) -> Self:
        """See minidl.any."""
        return reduction.any(self, dim, keepdim)

    def reshape(self: Self, *sizes: Any) -> Self:
        """See minidl.reshape."""
        return shape.reshape(self, *sizes)

    def view(self: Self, *sizes: Any) -> Self:
        """The same as reshape: memory order is not the user's concern, so a view is a copy where it must be."""
        return shape.reshape(self, *sizes)

    def view_as(self: Self, other: Tensor) -> Self:
        """This tensor in the shape of another."""
        return shape.reshape(self, other.shape)

    def flatten(self: Self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """See minidl.flatten."""
        return shape.flatten(self, start_dim, end_dim)

    def unflatten(self: Self, dim: int, sizes: Any) -> Self:
        """See minidl.unflatten."""
        return shape.unflatten(self, dim, sizes)

    def permute(self: Self, *dims: Any) -> Self:
        """See minidl.permute."""
        return shape.permute(self, *dims)

    def transpose(self: Self, dim0: int, dim1: int) -> Self:
        """See minidl.transpose."""
        return shape.transpose(self, dim0, dim1)

    def swapaxes(self: Self, axis0: int, axis1: int) -> Self:
        """The same as transpose; arrays have a method of this name too."""
        return shape.transpose(self, axis0, axis1)

    def movedim(self: Self, source: Any, destination: Any) -> Self:
        """See minidl.movedim."""
        return shape.movedim(self, source, destination)

    def t(self: Self) -> Self:
        """A matrix transposed, (M, N) -> (N, M); fewer axes stay as they are."""
        if self.ndim > 2:
            raise ShapeError("t", expected="at most two axes", got=str(self.shape), hint="Use transpose or permute.")
        return self.T

    @property
    def T(self: Self) -> Self:
        """The axes in reverse order."""
        return shape.permute(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self: Self) -> Self:
        """The last two axes exchanged."""
        return shape.transpose(self, -1, -2)

    def squeeze(self: Self, dim: Any = None) -> Self:
        """See minidl.squeeze."""
        return shape.squeeze(self, dim)

    def unsqueeze(self: Self, dim: int) -> Self:
        """See minidl.unsqueeze."""
        return shape.unsqueeze(self, dim)

    def expand(self: Self, *sizes: Any) -> Self:
        """See minidl.expand."""
        return shape.expand(self, *sizes)

    def expand_as(self: Self, other: Tensor) -> Self:
        """This tensor repeated to the shape of another."""
        return shape.expand(self, other.shape)

    def broadcast_to(self: Self, sizes: Any) -> Self:
        """See minidl.broadcast_to."""
        return shape.broadcast_to(self, sizes)

    def split(self: Self, split_size_or_sections: Any, dim: int = 0) -> tuple[Self, ...]:
        """See minidl.split."""
        return shape.split(self, split_size_or_sections, dim)

    def chunk(self: Self, chunks: int, dim: int = 0) -> tuple[Self, ...]:
        """See minidl.chunk."""
        return shape.chunk(self, chunks, dim)

    def flip(self: Self, dims: Any) -> Self:
        """See minidl.flip."""
        return arrangement.flip(self, dims)

    def clone(self: Self) -> Self:
        """See minidl.clone."""
        return shape.clone(self)

    def contiguous(self: Self) -> Self:
        """See minidl.contiguous."""
        return shape.contiguous(self)
