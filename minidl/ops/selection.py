"""Parts of a tensor by place or by mask: select, narrow, unbind, index_select, masked_fill, masked_select, nonzero."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import BaseTensor, T
from minidl.backend.arrays import check_same_device, namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.broadcasting import broadcast_shape
from minidl.ops.choice import where
from minidl.ops.indexing import Index
from minidl.ops.joining import stack
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import as_integer, cast, require_tensor
from minidl.ops.reduction import normalize_axis
from minidl.ops.shape import expand, reshape
from minidl.ops.values import check_range

__all__ = ["index_select", "masked_fill", "masked_select", "narrow", "nonzero", "select", "unbind"]


def _axis(who: str, input: Any, dim: Any) -> tuple[int, int]:
    """An axis that must be there, and its length."""
    require_tensor(who, input)
    if not input.data.ndim:
        raise ShapeError(who, expected="at least one axis", got="none")
    axis = normalize_axis(who, dim, input.data.ndim)
    return axis, input.data.shape[axis]


def _along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes ``part`` of an axis and all of the others."""
    return (slice(None),) * axis + (part,)


@numpy_names
def select(input: T, dim: int, index: int) -> T:
    """The elements at one place of an axis, which is left out: a view. Negative places count from the end.

    Raises ArgumentError for a place out of range. Source: torch.select.
    """
    axis, length = _axis("select", input, dim)
    place = as_integer("select", "index", index)
    if not -length <= place < length:
        raise ArgumentError("select", expected=f"index in [-{length}, {length})", got=str(place))
    return input[_along(axis, place)]  # type: ignore[index]


@numpy_names
def narrow(input: T, dim: int, start: int, length: int) -> T:
    """``length`` elements of an axis, from ``start`` on: a view. A negative start counts from the end.

    Raises ArgumentError where they are not all there. Source: torch.narrow.
    """
    axis, total = _axis("narrow", input, dim)
    first, count = as_integer("narrow", "start", start), as_integer("narrow", "length", length)
    begin = first + total if first < 0 else first
    if begin < 0 or count < 0 or begin + count > total:
        raise ArgumentError("narrow", expected=f"a part of {total} elements", got=f"{count} from {first} on")
    return input[_along(axis, slice(begin, begin + count))]  # type: ignore[index]


@numpy_names
def unbind(input: T, dim: int = 0) -> tuple[T, ...]:
    """What lies at each place of an axis: views without that axis. Source: torch.unbind."""
    axis, length = _axis("unbind", input, dim)
    return tuple([input[_along(axis, i)] for i in range(length)])  # type: ignore[index]


@numpy_names
def index_select(input: T, dim: int, index: Any) -> T:
    """The elements at the places ``index`` of an axis: a copy; a place taken several times collects the gradients.

    index: integers in [0, length), shape (M,) or none; the result has M in place of the axis's length. Raises
    ArgumentError (out of range), ShapeError, DTypeError. Source: torch.index_select.
    """
    axis, length = _axis("index_select", input, dim)
    require_tensor("index_select", input, index)
    check_same_device("index_select", input.data, index.data)
    places = index.data if index.data.ndim else reshape(index, 1).data
    if places.dtype.kind not in "iu":
        raise DTypeError("index_select", expected="an integer index", got=str(places.dtype))
    if places.ndim > 1:
        raise ShapeError("index_select", expected="an index with one axis", got=str(places.shape))
    check_range("index_select", places, length)
    return Index.apply(input, index=_along(axis, places))


def _check_mask(who: str, input: Any, mask: Any) -> None:
    require_tensor(who, input, mask)
    check_same_device(who, input.data, mask.data)
    if mask.data.dtype.kind != "b":
        raise DTypeError(who, expected="a bool mask", got=str(mask.data.dtype), hint="Compare first.")
    try:
        broadcast_shape(input.data.shape, mask.data.shape)
    except ValueError:
        got = f"{input.data.shape} and {mask.data.shape}"
        raise ShapeError(who, expected="shapes that broadcast", got=got) from None


@on_its_device
def masked_fill(input: T, mask: Any, value: Any) -> T:
    """``value`` where the mask holds, else input, in the input's dtype; the shapes broadcast.

    mask: bool; value: a number, or a tensor without axes, which collects the gradient. Raises DTypeError for a value
    that the dtype cannot hold. Source: torch.Tensor.masked_fill.
    """
    _check_mask("masked_fill", input, mask)
    dtype = input.data.dtype
    if isinstance(value, BaseTensor):
        if value.data.ndim:
            raise ShapeError(
                "masked_fill", expected="a value without axes", got=str(value.data.shape), hint="Use where."
            )
        return where(mask, cast(value, dtype), input)
    if not isinstance(value, (bool, int, float)):
        raise DTypeError("masked_fill", expected="a number or a Tensor as value", got=type(value).__name__)
    if dtype.kind in "iu" and value != value // 1:  # a fraction, infinity or NaN
        raise DTypeError("masked_fill", expected=f"a value that fits {dtype}", got=repr(value))
    return where(mask, input._make(namespace(input.data).full((), value, dtype)), input)


def masked_select(input: T, mask: Any) -> T:
    """The elements where the mask holds, in one axis and in logical order; the shapes broadcast.

    The size depends on values, so that a captured step cannot contain it. Source: torch.masked_select.
    """
    _check_mask("masked_select", input, mask)
    shape = broadcast_shape(input.data.shape, mask.data.shape)
    return expand(input, shape)[expand(mask, shape)]  # type: ignore[index]


def nonzero(input: T, *, as_tuple: bool = False) -> Any:
    """The places of the elements that are not 0: int64 (M, number of axes), or a tuple with one tensor an axis.

    Source: torch.nonzero.
    """
    require_tensor("nonzero", input)
    places = where(input)
    if as_tuple:
        return places
    if not input.data.ndim:
        return stack(places, 1)[:, :0]
    return stack(places, 1)
