"""The wider range of functions as methods of a tensor; the core's are in methods.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from minidl._tensor.methods import Methods
from minidl.ops import accumulation, arrangement, choice, elementwise, gather, linear_algebra, norms, shape

if TYPE_CHECKING:
    from minidl._tensor.tensor import Tensor

__all__ = ["Mathematics"]

Self = TypeVar("Self", bound="Mathematics")


class Mathematics(Methods):
    """``x.erf()`` for ``minidl.erf(x)``, and so on; the methods are the functions themselves."""

    __slots__ = ()

    log1p = elementwise.log1p
    expm1 = elementwise.expm1
    rsqrt = elementwise.rsqrt
    square = elementwise.square
    reciprocal = elementwise.reciprocal
    floor = elementwise.floor
    erf = elementwise.erf

    prod = accumulation.prod
    cumsum = accumulation.cumsum
    logsumexp = accumulation.logsumexp
    norm = norms.norm

    mm = linear_algebra.mm
    bmm = linear_algebra.bmm
    mv = linear_algebra.mv
    dot = linear_algebra.dot
    outer = linear_algebra.outer

    ravel = shape.ravel
    tile = arrangement.tile
    roll = arrangement.roll
    tril = arrangement.tril
    triu = arrangement.triu
    gather = gather.gather

    def where(self: Self, condition: Tensor, other: Any) -> Self:
        """This tensor where the condition holds, else ``other``; see minidl.where."""
        return choice.where(condition, self, other)
