"""The same elements at other places: flipped, rolled, repeated; and the triangles of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.choice import Where
from minidl.ops.joining import cat
from minidl.ops.keywords import numpy_names, sizes_named
from minidl.ops.promotion import as_integer, require_tensor
from minidl.ops.reduction import normalize_axes, normalize_axis
from minidl.ops.shape import clone, expand, reshape, sizes_of

__all__ = ["flip", "meshgrid", "repeat", "repeat_interleave", "roll", "tile", "tril", "triu"]


class Flip(Function):
    """The elements in reverse order along axes."""

    def forward(self, x: Any, axes: tuple[int, ...]) -> Any:
        self.axes = axes
        return namespace(x).flip(x, axes).copy()

    def backward(self, grad: Any) -> Any:
        return Flip.evaluate(grad, axes=self.axes)


def flip(input: T, dims: int | Sequence[int], *more: int) -> T:
    """The elements in reverse order along axes, given as integers or as one sequence; a copy. Source: torch.flip."""
    require_tensor("flip", input)
    axes: Any = tuple(dims) if isinstance(dims, Sequence) and not more else (dims, *more)
    return Flip.apply(input, axes=normalize_axes("flip", axes, input.data.ndim) if axes else ())


def roll(input: T, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> T:
    """The elements moved along axes; what leaves at one end comes back at the other.

    shifts: how far, one for each of dims; without dims the flattened tensor is rolled. Raises ArgumentError where their
    numbers differ. Source: torch.roll.
    """
    require_tensor("roll", input)
    steps, axes = (list(v) if isinstance(v, (tuple, list)) else [v] for v in (shifts, () if dims is None else dims))
    if not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in steps):
        raise DTypeError("roll", expected="shifts as an integer or a tuple of them", got=repr(shifts))
    if not axes and len(steps) == 1:
        return reshape(roll(reshape(input, input.data.size), steps[0], 0), input.data.shape)
    if len(steps) != len(axes):
        raise ArgumentError("roll", expected="one shift for each of dims", got=f"shifts={shifts}, dims={dims}")
    values: Any = input
    for step, dim in zip(steps, axes):
        axis = normalize_axis("roll", dim, input.data.ndim)
        length = input.data.shape[axis] if input.data.ndim else 0
        if length and step % length:
            whole: tuple[Any, ...] = (slice(None),) * axis
            cut = length - step % length
            values = cat([values[whole + (slice(cut, None),)], values[whole + (slice(0, cut),)]], axis)
    return values if values is not input else clone(input)


@sizes_named("dims")
def tile(input: T, *dims: Any) -> T:
    """The tensor repeated dims[i] times along axis i; too few of dims, or axes, count as 1 in front.

    Source: torch.tile.
    """
    require_tensor("tile", input)
    counts = tuple(dims[0]) if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    if not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in counts):
        raise DTypeError("tile", expected="dims as integers", got=str(counts))
    if any(n < 0 for n in counts):
        raise ArgumentError("tile", expected="dims of at least 0", got=str(counts))
    shape = input.data.shape
    ndim = max(len(shape), len(counts))
    shape, counts = (1,) * (ndim - len(shape)) + shape, (1,) * (ndim - len(counts)) + tuple(counts)
    apart = reshape(input, [n for length in shape for n in (1, length)])  # (n, m) -> (1, n, 1, m)
    repeated = expand(apart, [n for count, length in zip(counts, shape) for n in (count, length)])
    return reshape(repeated, [count * length for count, length in zip(counts, shape)])


@sizes_named("repeats")
def repeat(input: T, *repeats: Any) -> T:
    """The tensor repeated repeats[i] times along axis i; more repeats than axes add axes in front.

    Raises ArgumentError for fewer repeats than axes. Source: torch.Tensor.repeat.
    """
    require_tensor("repeat", input)
    counts = sizes_of("repeat", repeats)
    if len(counts) < input.data.ndim:
        raise ArgumentError("repeat", expected=f"a number for each of {input.data.ndim} axes", got=str(counts))
    if any(n < 0 for n in counts):
        raise ArgumentError("repeat", expected="repeats of at least 0", got=str(counts))
    return tile(input, counts)


@numpy_names
def repeat_interleave(input: T, repeats: int, dim: int | None = None) -> T:
    """Each element ``repeats`` times, one beside the other, along an axis (None: of the flattened tensor).

    repeats: a number for all elements. Source: torch.repeat_interleave.
    """
    require_tensor("repeat_interleave", input)
    if isinstance(repeats, (bool, BaseTensor)) or not hasattr(repeats, "__index__"):
        raise DTypeError("repeat_interleave", expected="repeats as an integer", got=type(repeats).__name__)
    if repeats < 0:
        raise ArgumentError("repeat_interleave", expected="repeats of at least 0", got=str(repeats))
    values: Any = reshape(input, input.data.size) if dim is None or not input.data.ndim else input
    axis = normalize_axis("repeat_interleave", 0 if dim is None else dim, values.data.ndim)
    shape = values.data.shape
    apart = reshape(values, *shape[: axis + 1], 1, *shape[axis + 1 :])  # (..., n, ...) -> (..., n, 1, ...)
    repeated = expand(apart, *shape[: axis + 1], repeats, *shape[axis + 1 :])
    return reshape(repeated, *shape[:axis], shape[axis] * repeats, *shape[axis + 1 :])


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """The coordinates of a grid: n tensors (M_i,) -> n tensors (M_1, ..., M_n), of which number i varies along axis i.

    indexing: "ij", or "xy" for the first two axes exchanged. Without copying. Source: torch.meshgrid.
    """
    given = tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    require_tensor("meshgrid", *given)
    if not given or any(t.data.ndim > 1 for t in given):
        raise ShapeError("meshgrid", expected="tensors with one axis", got=", ".join(str(t.data.shape) for t in given))
    if indexing not in ("ij", "xy"):
        raise ArgumentError("meshgrid", expected="indexing 'ij' or 'xy'", got=repr(indexing))
    order = list(range(len(given)))
    if indexing == "xy":
        order[:2] = order[:2][::-1]
    place = {number: axis for axis, number in enumerate(order)}  # along which axis each tensor varies
    shape = [given[number].data.size for number in order]
    lines = [[-1 if axis == place[number] else 1 for axis in range(len(given))] for number in range(len(given))]
    return tuple([expand(reshape(t, line), shape) for t, line in zip(given, lines)])


@on_its_device
def _triangle(who: str, input: Any, diagonal: int, lower: bool) -> Any:
    require_tensor(who, input)
    diagonal = as_integer(who, "diagonal", diagonal)
    if input.data.ndim < 2:
        raise ShapeError(who, expected="at least two axes", got=str(input.data.shape))
    rows, columns = input.data.shape[-2:]
    xp = namespace(input.data)
    distance = xp.arange(columns) - xp.arange(rows)[:, None]  # how far right of the main diagonal, (rows, columns)
    kept = distance <= diagonal if lower else distance >= diagonal
    return Where.apply(
        input._make(xp.broadcast_to(kept, input.data.shape)), input, False if input.data.dtype.kind == "b" else 0
    )


def tril(input: T, diagonal: int = 0) -> T:
    """The elements on and below a diagonal of the last two axes, 0 elsewhere; 0 is the main one, 1 the one above.

    Raises ShapeError for fewer than two axes. Source: torch.tril.
    """
    return _triangle("tril", input, diagonal, lower=True)


def triu(input: T, diagonal: int = 0) -> T:
    """The elements on and above a diagonal of the last two axes, 0 elsewhere. Source: torch.triu."""
    return _triangle("triu", input, diagonal, lower=False)
