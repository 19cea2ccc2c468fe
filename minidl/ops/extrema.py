"""The largest and smallest elements over axes, and where they stand."""

from __future__ import annotations

from typing import Any, NamedTuple

from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace
from minidl.backend.dtypes import int64
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.choice import maximum, minimum
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import require_tensor
from minidl.ops.reduction import Axes, normalize_axes, normalize_axis, without_axes

__all__ = ["amax", "amin", "argmax", "argmin", "max", "min"]


class ValuesIndices(NamedTuple):
    """What max and min over one axis give: the values, and where along the axis the first of them stands."""

    values: Any
    indices: Any


class Select(Function):
    """The extremum along one axis; the whole gradient goes to the first element that has it."""

    def forward(self, x: Any, axis: int, larger: bool) -> Any:
        xp = namespace(x)
        indices = xp.expand_dims((x.argmax if larger else x.argmin)(axis), axis)
        self.axis, self.shape = axis, x.shape
        self.save_for_backward(indices)
        return xp.take_along_axis(x, indices, axis), indices

    def backward(self, grad: Any, _: Any) -> Any:
        (indices,) = self.saved_arrays
        return PutAlong.evaluate(grad, indices=indices, axis=self.axis, shape=self.shape)


class PutAlong(Function):
    """Zeros of a larger shape with the elements of x at ``indices`` along one axis; the adjoint of TakeAlong."""

    def forward(self, x: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
        self.axis = axis
        self.save_for_backward(indices)
        xp = namespace(x)
        result = xp.zeros(shape, x.dtype)
        xp.put_along_axis(result, indices, x, axis)
        return result

    def backward(self, grad: Any) -> Any:
        (indices,) = self.saved_arrays
        return TakeAlong.evaluate(grad, indices=indices, axis=self.axis)


class TakeAlong(Function):
    """The elements of x at ``indices`` (distinct ones) along one axis."""

    def forward(self, x: Any, indices: Any, axis: int) -> Any:
        self.axis, self.shape = axis, x.shape
        self.save_for_backward(indices)
        return namespace(x).take_along_axis(x, indices, axis)

    def backward(self, grad: Any) -> Any:
        (indices,) = self.saved_arrays
        return PutAlong.evaluate(grad, indices=indices, axis=self.axis, shape=self.shape)


class Amax(Function):
    """The extremum over axes; ties share the gradient evenly, as in torch."""

    def forward(self, x: Any, axes: tuple[int, ...], keepdim: bool, larger: bool) -> Any:
        kept = (x.max if larger else x.min)(axes, keepdims=True)
        self.kept = kept.shape
        if self.needs_input_grad[0]:
            hits = (x == kept) | (x != x)
            self.save_for_backward(hits / hits.sum(axes, keepdims=True).astype(x.dtype))
        return without_axes(kept, axes, keepdim)

    def backward(self, grad: Any) -> Any:
        (share,) = self.saved_arrays
        return grad.reshape(self.kept) * share


class Position(Function):
    """Where the extremum stands: integers, without a gradient."""

    def forward(self, x: Any, axis: int | None, keepdim: bool, larger: bool) -> Any:
        return (x.argmax if larger else x.argmin)(axis, keepdims=keepdim)


def _not_empty(who: str, input: Any, axes: tuple[int, ...]) -> None:
    if 0 in [input.data.shape[i] for i in axes]:
        raise ShapeError(who, expected="at least one element along the reduced axes", got=str(input.data.shape))


def _extremum(who: str, input: Any, dim: Any, keepdim: bool, larger: bool) -> Any:
    require_tensor(who, input)
    if isinstance(dim, BaseTensor):
        return maximum(input, dim) if larger else minimum(input, dim)
    if dim is None:
        if keepdim:
            raise ArgumentError(who, expected="a dim with keepdim=True", got="dim=None")
        return _spread(who, input, None, False, larger)
    axis = normalize_axis(who, dim, input.data.ndim)
    if not input.data.ndim:
        return ValuesIndices(input, input._make(namespace(input.data).zeros((), int64)))
    _not_empty(who, input, (axis,))
    values, indices = Select.apply(input, axis=axis, larger=larger)
    return ValuesIndices(*((values, indices) if keepdim else (values.squeeze(axis), indices.squeeze(axis))))


def _spread(who: str, input: Any, dim: Axes, keepdim: bool, larger: bool) -> Any:
    require_tensor(who, input)
    axes = normalize_axes(who, dim, input.data.ndim)
    _not_empty(who, input, axes)
    return Amax.apply(input, axes=axes, keepdim=keepdim, larger=larger)


@numpy_names
def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element, or over one axis a pair (values, indices) whose indices are the first ones.

    Over all elements ties share the gradient; over one axis it goes to the first. A tensor as second argument means
    maximum(input, other). Source: torch.max.
    """
    return _extremum("max", input, dim, keepdim, larger=True)


@numpy_names
def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element, or over one axis a pair (values, indices); see max. Source: torch.min."""
    return _extremum("min", input, dim, keepdim, larger=False)


@numpy_names
def amax(input: T, dim: Axes = None, keepdim: bool = False) -> T:
    """The largest element over axes; ties share the gradient evenly. Source: torch.amax."""
    return _spread("amax", input, dim, keepdim, larger=True)


@numpy_names
def amin(input: T, dim: Axes = None, keepdim: bool = False) -> T:
    """The smallest element over axes; ties share the gradient evenly. Source: torch.amin."""
    return _spread("amin", input, dim, keepdim, larger=False)


def _position(who: str, input: Any, dim: int | None, keepdim: bool, larger: bool) -> Any:
    require_tensor(who, input)
    axis = None if dim is None else normalize_axis(who, dim, input.data.ndim)
    if not input.data.ndim:
        axis = None
    _not_empty(who, input, tuple(range(input.data.ndim)) if axis is None else (axis,))
    return Position.apply(input, axis=axis, keepdim=keepdim, larger=larger)


@numpy_names
def argmax(input: T, dim: int | None = None, keepdim: bool = False) -> T:
    """Where the largest element stands (the first one): over all elements, flattened, or along one axis; int64."""
    return _position("argmax", input, dim, keepdim, larger=True)


@numpy_names
def argmin(input: T, dim: int | None = None, keepdim: bool = False) -> T:
    """Where the smallest element stands (the first one); see argmax."""
    return _position("argmin", input, dim, keepdim, larger=False)
