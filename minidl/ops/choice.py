"""The larger or smaller of two tensors, and the choice between two by a condition."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.autograd.modes import state
from minidl.backend.arrays import namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError, GraphError
from minidl.ops.broadcasting import apply_broadcast, shape_of, unbroadcast
from minidl.ops.promotion import as_tensor_like, promote, require_tensor, result_type

__all__ = ["maximum", "minimum", "where"]


class Where(Function):
    """``a`` where the condition holds, else ``b``."""

    def forward(self, condition: Any, a: Any, b: Any) -> Any:
        self.shapes = shape_of(a), shape_of(b)
        self.save_for_backward(condition)
        return namespace(condition).where(condition, a, b)

    def backward(self, grad: Any) -> Any:
        (condition,) = self.saved_arrays
        _, need_a, need_b = self.needs_input_grad
        return (
            None,
            unbroadcast(Where.evaluate(condition, grad, 0.0), self.shapes[0]) if need_a else None,
            unbroadcast(Where.evaluate(condition, 0.0, grad), self.shapes[1]) if need_b else None,
        )


class Extremum(Function):
    """The larger (or smaller) of two; where they tie each gets half of the gradient, as in torch."""

    def forward(self, a: Any, b: Any, larger: bool) -> Any:
        self.shapes = shape_of(a), shape_of(b)
        need_a, need_b = self.needs_input_grad
        if need_a or need_b:  # what each gets; beside a NaN neither loses, and both get all, as in torch
            a_loses, b_loses = (a < b, b < a) if larger else (a > b, b > a)
            half = (a == b) * a.dtype.type(0.5)
            self.save_for_backward(~a_loses - half if need_a else None, ~b_loses - half if need_b else None)
        return namespace(a).maximum(a, b) if larger else namespace(a).minimum(a, b)

    def backward(self, grad: Any) -> Any:
        shares = self.saved_arrays
        return tuple(None if f is None else unbroadcast(grad * f, s) for f, s in zip(shares, self.shapes))


def maximum(input: T, other: Any) -> T:
    """The larger of the two, element by element; NaN wins; ties share the gradient. Source: torch.maximum."""
    require_tensor("maximum", input, other)
    return apply_broadcast("maximum", Extremum, *promote("maximum", input, other), larger=True)


def minimum(input: T, other: Any) -> T:
    """The smaller of the two, element by element; NaN wins; ties share the gradient. Source: torch.minimum."""
    require_tensor("minimum", input, other)
    return apply_broadcast("minimum", Extremum, *promote("minimum", input, other), larger=False)


_MISSING: Any = object()


@on_its_device
def where(condition: Any, input: Any = _MISSING, other: Any = _MISSING) -> Any:
    """input where condition holds, else other; with condition alone, the places where it is true (not 0).

    condition: a bool tensor; input, other: tensors or numbers; the three shapes broadcast. The places are a tuple of
    int64 tensors, one for each axis. Source: torch.where.
    """
    require_tensor("where", condition)
    if input is _MISSING and other is _MISSING:
        return _places(condition)
    if input is _MISSING or other is _MISSING:
        raise ArgumentError("where", expected="input and other, or neither", got="one of them")
    if condition.data.dtype.kind != "b":
        raise DTypeError("where", expected="a bool condition", got=str(condition.data.dtype), hint="Compare first.")
    input, other = as_tensor_like(condition, input), as_tensor_like(condition, other)
    if not isinstance(input, BaseTensor) and not isinstance(other, BaseTensor):
        xp = namespace(condition.data)
        dtype = result_type(input, other)
        input = condition._make(xp.asarray(input, dtype))
    a, b = promote("where", input, other)
    return apply_broadcast("where", Where, condition, a, b)


def _places(condition: Any) -> tuple[Any, ...]:
    """Where a tensor is not 0: one int64 tensor for each axis."""
    if state.recorder is not None:
        raise GraphError(
            "where",
            expected="input and other inside a captured step",
            got="a condition alone: the size of the result depends on values",
        )
    array = condition.data if condition.data.ndim else condition.data.reshape(1)
    return tuple([condition._make(places) for places in namespace(array).nonzero(array)])
