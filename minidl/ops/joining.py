"""Tensors joined along an axis, and divided: cat, stack, split, chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import cast, require_tensor, result_type
from minidl.ops.reduction import normalize_axis
from minidl.ops.shape import unsqueeze

__all__ = ["cat", "chunk", "split", "stack"]


class Cat(Function):
    """Arrays one after the other along an axis."""

    def forward(self, *arrays: Any, axis: int) -> Any:
        self.axis, self.lengths = axis, [a.shape[axis] for a in arrays]
        return namespace(arrays[0]).concatenate(arrays, axis)

    def backward(self, grad: Any) -> Any:
        parts, start = [], 0
        for need, length in zip(self.needs_input_grad, self.lengths):
            index = (slice(None),) * self.axis + (slice(start, start + length),)
            parts.append(grad[index] if need else None)
            start += length
        return tuple(parts)


def _tensors(who: str, tensors: Sequence[Any]) -> list[Any]:
    """A non-empty sequence of tensors in their common dtype."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise DTypeError(who, expected="a non-empty tuple or list of Tensors", got=type(tensors).__name__)
    require_tensor(who, *tensors)
    dtype = result_type(*tensors)
    return [cast(t, dtype) for t in tensors]


@numpy_names
def cat(tensors: Sequence[T], dim: int = 0) -> T:
    """Tensors one after the other along an axis; all other lengths must agree. Source: torch.cat."""
    parts = _tensors("cat", tensors)
    parts = [t for t in parts if t.data.shape != (0,)] or parts[:1]  # torch lets them stand beside any shape
    ndim = parts[0].data.ndim
    if not ndim:
        raise ShapeError("cat", expected="tensors with at least one axis", got="one without", hint="Use stack.")
    axis = normalize_axis("cat", dim, ndim)
    shapes = [t.data.shape for t in parts]
    if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) > 1 or len({len(s) for s in shapes}) > 1:
        raise ShapeError("cat", expected=f"shapes that agree but for axis {axis}", got=", ".join(map(str, shapes)))
    return Cat.apply(*parts, axis=axis)


@numpy_names
def stack(tensors: Sequence[T], dim: int = 0) -> T:
    """Tensors of one shape side by side along a new axis. Source: torch.stack."""
    parts = _tensors("stack", tensors)
    if len({t.data.shape for t in parts}) > 1:
        raise ShapeError("stack", expected="tensors of one shape", got=", ".join(str(t.data.shape) for t in parts))
    axis = normalize_axis("stack", dim, parts[0].data.ndim + 1)
    return cat([unsqueeze(t, axis) for t in parts], axis)


def _axis_of(who: str, input: Any, dim: Any) -> int:
    require_tensor(who, input)
    if not input.data.ndim:
        raise ShapeError(who, expected="at least one axis", got="none")
    return normalize_axis(who, dim, input.data.ndim)


def split(input: T, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[T, ...]:
    """Parts along an axis: of one length (the last may be shorter), or of the lengths given. Source: torch.split."""
    axis = _axis_of("split", input, dim)
    total = input.data.shape[axis]
    sizes = split_size_or_sections
    if isinstance(sizes, int):
        if sizes < 0 or (sizes == 0 and total):
            raise ArgumentError("split", expected="a size of at least 1", got=str(sizes))
        sizes = [min(sizes, total - start) for start in range(0, total, sizes or 1)] or [0]
    if sum(sizes) != total or any(n < 0 for n in sizes):
        raise ShapeError("split", expected=f"lengths that add up to {total}", got=str(list(sizes)))
    parts: list[Any] = []
    start = 0
    values: Any = input
    for n in sizes:
        parts.append(values[(slice(None),) * axis + (slice(start, start + n),)])
        start += n
    return tuple(parts)


@numpy_names
def chunk(input: T, chunks: int, dim: int = 0) -> tuple[T, ...]:
    """At most ``chunks`` parts of equal length (the last may be shorter) along an axis. Source: torch.chunk."""
    if chunks < 1:
        raise ArgumentError("chunk", expected="at least 1 chunk", got=str(chunks))
    axis = _axis_of("chunk", input, dim)
    length = input.data.shape[axis]
    return split(input, -(-length // chunks) if length else [0] * chunks, axis)
