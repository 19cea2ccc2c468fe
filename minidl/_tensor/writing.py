"""Writing into a tensor: in-place arithmetic, assignment; every write is counted. The wider range is in in_place.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minidl._tensor.conversions import Move
from minidl._tensor.description import Description
from minidl.autograd.base import BaseTensor
from minidl.autograd.modes import state
from minidl.backend.arrays import asarray, check_same_device, device_of, on_device_of
from minidl.errors import ArgumentError, DTypeError, GraphError, ShapeError
from minidl.ops import arithmetic, indexing, promotion, shape

__all__ = ["Writing"]

Self = TypeVar("Self", bound="Writing")


class Writing(Description):
    """In-place methods; their names end in an underscore."""

    __slots__ = ()

    def _bump(self) -> None:
        """Count an in-place write, so that backward refuses arrays that were saved before it."""
        self._version.value += 1

    def _check_writable(self, who: str) -> None:
        if not getattr(self.data.flags, "writeable", True):  # CuPy knows no read-only arrays
            raise ArgumentError(
                who,
                expected="memory that may be written",
                got="a read-only array, or one element spread over several places by expand",
                hint="Write into a clone().",
            )
        if not (self.requires_grad and state.enabled):
            return
        if self._edge is None:
            raise GraphError(
                who,
                expected="a tensor that is not a leaf requiring a gradient",
                got="a leaf that requires one",
                hint="Write under minidl.no_grad(), or out of place.",
            )
        if self._version.shared:
            raise GraphError(
                who,
                expected="memory that no other tensor shares",
                got="a view, or a tensor with views, inside the graph",
                hint="Write out of place, or clone() first.",
            )

    def _assign(self: Self, who: str, result: Any) -> Self:
        """Write the result of an operation on this tensor back into its memory, taking over its place in the graph."""
        if isinstance(result, BaseTensor) and result.requires_grad and not self.requires_grad and self._version.shared:
            raise GraphError(
                who, expected="memory that no other tensor shares", got="a view", hint="Write out of place instead."
            )
        values = result.data if isinstance(result, BaseTensor) else result
        if values.shape != self.data.shape:
            raise ShapeError(
                who, expected=f"a result of shape {self.data.shape}, to be written in place", got=str(values.shape)
            )
        kind, mine = values.dtype.kind, self.data.dtype.kind
        if (kind == "f" and mine != "f") or (mine == "b" and kind != "b"):
            raise DTypeError(who, expected=f"a result that fits {self.data.dtype}", got=str(values.dtype))
        with on_device_of(self.data):
            self.data[...] = values
        self._bump()
        if state.recorder is not None:
            state.recorder.write(self, Ellipsis, values)
        if isinstance(result, BaseTensor) and result.requires_grad:
            self._edge, self._requires_grad = result._edge, True
        return self

    def _in_place(self: Self, who: str, operation: Callable[..., Any], *operands: Any, **options: Any) -> Self:
        self._check_writable(who)
        source = self
        if state.enabled and (self.requires_grad or any(getattr(x, "requires_grad", False) for x in operands)):
            # What the operation saves of its own input must survive the write: it works on a copy in the same place.
            source = shape.clone(self)
        return self._assign(who, operation(source, *operands, **options))

    def add_(self: Self, other: Any, *, alpha: float = 1) -> Self:
        """self += alpha * other, in place."""
        return self._in_place("add_", arithmetic.add, other, alpha=alpha)

    def sub_(self: Self, other: Any, *, alpha: float = 1) -> Self:
        """self -= alpha * other, in place."""
        return self._in_place("sub_", arithmetic.sub, other, alpha=alpha)

    def mul_(self: Self, other: Any) -> Self:
        """self *= other, in place."""
        return self._in_place("mul_", arithmetic.mul, other)

    def div_(self: Self, other: Any, *, rounding_mode: str | None = None) -> Self:
        """self /= other, in place."""
        return self._in_place("div_", arithmetic.div, other, rounding_mode=rounding_mode)

    def pow_(self: Self, exponent: Any) -> Self:
        """self **= exponent, in place."""
        return self._in_place("pow_", arithmetic.pow, exponent)

    def fill_(self: Self, value: Any) -> Self:
        """Every element becomes ``value``, in place: a number, or a tensor without axes."""
        if getattr(value, "shape", ()):
            raise ShapeError(
                "fill_",
                expected="a number or a tensor without axes",
                got=f"shape {tuple(value.shape)}",
                hint="Use copy_.",
            )
        self[...] = value
        return self

    def zero_(self: Self) -> Self:
        """Every element becomes 0, in place."""
        return self.fill_(0)

    def copy_(self: Self, source: Any) -> Self:
        """The elements of ``source`` (a tensor or array that broadcasts to this shape, on any device), in place."""
        if not isinstance(source, BaseTensor):
            source = self._make(asarray(source, device=device_of(self.data)))
        elif device_of(source.data) != device_of(self.data):
            source = Move.apply(source, device=device_of(self.data))
        self[...] = source
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_writable("indexing")
        if value is None or isinstance(value, str):
            raise DTypeError("indexing", expected="a tensor, an array or a number as value", got=repr(value))
        if isinstance(value, np.ndarray):
            value = self._make(value)
        recorded = self.requires_grad or (isinstance(value, BaseTensor) and value.requires_grad)
        if recorded and state.enabled:
            if isinstance(value, BaseTensor):
                value = promotion.cast(value, self.dtype)
            self._assign("indexing", indexing.index_put(self, index, value))
            return
        raw = value.data if isinstance(value, BaseTensor) else value
        place = indexing.raw_index(index)
        check_same_device("indexing", self.data, raw)
        indexing.check_places(self.data, place)
        try:
            with on_device_of(self.data):
                part, rest = indexing.resolve(self.data, place)
                part[rest] = raw
        except ValueError as error:
            raise ShapeError("indexing", expected="a value that fits the indexed part", got=str(error)) from None
        self._bump()
        if state.recorder is not None:
            state.recorder.write(self, place, raw)
