"""The functions of ``minidl`` as methods of a tensor: arithmetic, reductions, changes of shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from minidl._tensor.description import Description
from minidl.errors import ShapeError
from minidl.ops import (
    activation,
    activation_smooth,
    arithmetic,
    arrangement,
    choice,
    comparison,
    elementwise,
    extrema,
    joining,
    matmul,
    reduction,
    shape,
    softmax,
    trigonometry,
)
from minidl.ops.keywords import sizes_named

if TYPE_CHECKING:
    from minidl._tensor.tensor import Tensor

__all__ = ["Methods"]

Self = TypeVar("Self", bound="Methods")


class Methods(Description):
    """``x.exp()`` for ``minidl.exp(x)``, and so on: where nothing is to be added, the method is the function itself,
    whose first argument is the tensor, with its types and its documentation.
    """

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

    def pow(self: Self, exponent: Any) -> Self:
        """See minidl.pow."""
        return arithmetic.pow(self, exponent)

    def eq(self: Self, other: Any) -> Self:
        """See minidl.eq."""
        return comparison.eq(self, other)

    def ne(self: Self, other: Any) -> Self:
        """See minidl.ne."""
        return comparison.ne(self, other)

    neg = arithmetic.neg
    maximum = choice.maximum
    minimum = choice.minimum
    lt = comparison.lt
    le = comparison.le
    gt = comparison.gt
    ge = comparison.ge
    equal = comparison.equal
    allclose = comparison.allclose
    isnan = comparison.isnan

    exp = elementwise.exp
    log = elementwise.log
    sqrt = elementwise.sqrt
    sin = trigonometry.sin
    cos = trigonometry.cos
    abs = elementwise.abs
    sign = elementwise.sign
    clamp = elementwise.clamp

    relu = activation.relu
    tanh = activation.tanh
    sigmoid = activation_smooth.sigmoid
    log_softmax = softmax.log_softmax
    softmax = softmax.softmax
    matmul = matmul.matmul

    sum = reduction.sum
    mean = reduction.mean
    var = reduction.var
    std = reduction.std
    max = extrema.max
    min = extrema.min
    amax = extrema.amax
    amin = extrema.amin
    argmax = extrema.argmax
    argmin = extrema.argmin
    all = reduction.all
    any = reduction.any

    reshape = shape.reshape
    flatten = shape.flatten
    unflatten = shape.unflatten
    permute = shape.permute
    transpose = shape.transpose
    swapaxes = shape.swapaxes  # arrays have a method of this name too
    movedim = shape.movedim
    squeeze = shape.squeeze
    unsqueeze = shape.unsqueeze
    expand = shape.expand
    broadcast_to = shape.broadcast_to

    def split(self: Self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """See minidl.split, where the first argument has another name, as in torch."""
        return joining.split(self, split_size, dim)

    chunk = joining.chunk
    flip = arrangement.flip
    clone = shape.clone
    contiguous = shape.contiguous

    @sizes_named("size")
    def view(self: Self, *sizes: Any) -> Self:
        """The same as reshape: memory order is not the user's concern, so a view is a copy where it must be."""
        return shape.reshape(self, *sizes)

    def view_as(self: Self, other: Tensor) -> Self:
        """This tensor in the shape of another."""
        return shape.reshape(self, other.shape)

    def expand_as(self: Self, other: Tensor) -> Self:
        """This tensor repeated to the shape of another."""
        return shape.expand(self, other.shape)

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
