"""The wider range of functions as methods of a tensor; the core's are in methods.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from minidl._tensor.methods import Methods
from minidl.ops import (
    accumulation,
    arrangement,
    choice,
    combined,
    comparison,
    elementwise,
    gather,
    linear_algebra,
    norms,
    ordering,
    reduction,
    rounding,
    selection,
    shape,
    trigonometry,
)

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
    log2 = elementwise.log2
    log10 = elementwise.log10
    erf = elementwise.erf

    floor = rounding.floor
    ceil = rounding.ceil
    trunc = rounding.trunc
    round = rounding.round
    remainder = rounding.remainder
    fmod = rounding.fmod

    tan = trigonometry.tan
    asin = trigonometry.asin
    acos = trigonometry.acos
    atan = trigonometry.atan
    atan2 = trigonometry.atan2
    sinh = trigonometry.sinh
    cosh = trigonometry.cosh

    isinf = comparison.isinf
    isfinite = comparison.isfinite
    isclose = comparison.isclose
    logical_and = comparison.logical_and
    logical_or = comparison.logical_or
    logical_xor = comparison.logical_xor
    logical_not = comparison.logical_not
    count_nonzero = reduction.count_nonzero

    prod = accumulation.prod
    cumsum = accumulation.cumsum
    logsumexp = accumulation.logsumexp
    norm = norms.norm

    mm = linear_algebra.mm
    bmm = linear_algebra.bmm
    mv = linear_algebra.mv
    dot = linear_algebra.dot
    outer = linear_algebra.outer
    addmm = combined.addmm
    addcmul = combined.addcmul
    addcdiv = combined.addcdiv
    lerp = combined.lerp

    sort = ordering.sort
    argsort = ordering.argsort
    topk = ordering.topk

    select = selection.select
    narrow = selection.narrow
    unbind = selection.unbind
    index_select = selection.index_select
    masked_fill = selection.masked_fill
    masked_select = selection.masked_select
    nonzero = selection.nonzero
    scatter = gather.scatter
    scatter_add = gather.scatter_add
    gather = gather.gather

    ravel = shape.ravel
    tile = arrangement.tile
    repeat = arrangement.repeat
    repeat_interleave = arrangement.repeat_interleave
    roll = arrangement.roll
    tril = arrangement.tril
    triu = arrangement.triu

    def where(self: Self, condition: Tensor, other: Any) -> Self:
        """This tensor where the condition holds, else ``other``; see minidl.where."""
        return choice.where(condition, self, other)
