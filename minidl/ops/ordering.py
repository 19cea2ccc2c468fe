"""Elements in order along an axis: sort, argsort, topk."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace
from minidl.backend.dtypes import int64
from minidl.errors import ArgumentError, DTypeError
from minidl.ops.extrema import PutAlong, ValuesIndices
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import require_tensor
from minidl.ops.reduction import normalize_axis

__all__ = ["argsort", "sort", "topk"]


class Order(Function):
    """The first ``count`` elements in order along an axis, and where they stood; NaN counts as the largest.

    Equal elements stay in their order, also downwards: the axis is read from its end, and the result turned round.
    """

    def forward(self, x: Any, axis: int, count: int, descending: bool) -> Any:
        xp = namespace(x)
        if descending:
            indices = x.shape[axis] - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis, kind="stable"), axis)
        else:
            indices = xp.argsort(x, axis, kind="stable")
        indices = indices[(slice(None),) * axis + (slice(0, count),)].astype(int64)
        self.axis, self.shape = axis, x.shape
        self.save_for_backward(indices)
        return xp.take_along_axis(x, indices, axis), indices

    def backward(self, grad: Any, _: Any) -> Any:
        (indices,) = self.saved_arrays
        return PutAlong.evaluate(grad, indices=indices, axis=self.axis, shape=self.shape)


def _ordered(who: str, input: Any, dim: Any, descending: bool, count: int | None) -> ValuesIndices:
    require_tensor(who, input)
    axis = normalize_axis(who, dim, input.data.ndim)
    length = input.data.shape[axis] if input.data.ndim else 1
    if count is None:
        count = length
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise DTypeError(who, expected="k as an integer", got=repr(count))
    if not 0 <= count <= length:
        raise ArgumentError(who, expected=f"k in [0, {length}]", got=str(count))
    if not input.data.ndim:
        values, indices = Order.apply(input.reshape(1), axis=0, count=count, descending=descending)
        return ValuesIndices(*((values.reshape(()), indices.reshape(())) if count else (values, indices)))
    return ValuesIndices(*Order.apply(input, axis=axis, count=count, descending=descending))


@numpy_names
def sort(input: T, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The elements in order along an axis: a pair (values, indices), both of the input's shape.

    Equal elements keep their order, whether ``stable`` asks for it or not; NaN counts as the largest. The gradient goes
    back to where each element stood. Raises ArgumentError for an axis out of range. Source: torch.sort.
    """
    return _ordered("sort", input, dim, bool(descending), None)


@numpy_names
def argsort(input: T, dim: int = -1, descending: bool = False, stable: bool = False) -> T:
    """Where the elements stand that sort would put first, second, ...: int64; see sort. Source: torch.argsort."""
    return _ordered("argsort", input, dim, bool(descending), None).indices


@numpy_names
def topk(input: T, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest (or smallest) elements along an axis: a pair (values, indices) with k in place of its length.

    They come in order, whether ``sorted`` asks for it or not; of equal elements the first are taken. Raises
    ArgumentError for a k above the length. Source: torch.topk.
    """
    return _ordered("topk", input, dim, bool(largest), k)
