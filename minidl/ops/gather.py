"""Picking elements by an index tensor of the same number of axes, and putting them back by one."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import BaseTensor, T
from minidl.backend.arrays import check_same_device, namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.arithmetic import add
from minidl.ops.indexing import Index, IndexPut, ScatterAdd
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import require_tensor, same_dtype
from minidl.ops.reduction import normalize_axis
from minidl.ops.shape import clone, reshape
from minidl.ops.values import check_range

__all__ = ["gather", "scatter", "scatter_add"]


@on_its_device
def _places(who: str, input: Any, dim: int, index: Any) -> tuple[Any, ...]:
    """The index that stands for an index tensor along one axis: an array for every axis, (i, j, k) -> i, index, k."""
    require_tensor(who, input, index)
    check_same_device(who, input.data, index.data)
    if index.data.dtype.kind not in "iu":
        raise DTypeError(who, expected="an integer index", got=str(index.data.dtype))
    shape, wanted = input.data.shape, index.data.shape
    axis = normalize_axis(who, dim, len(shape))
    if max(len(shape), 1) != max(len(wanted), 1):
        raise ShapeError(who, expected=f"an index with {len(shape)} axes (input: {shape})", got=str(wanted))
    if index.data.size and any(n > m for i, (n, m) in enumerate(zip(wanted, shape)) if i != axis):
        raise ShapeError(who, expected=f"an index no longer than {shape} but along axis {axis}", got=str(wanted))
    length = shape[axis] if shape else 1
    array = index.data
    check_range(who, array, length)
    xp = namespace(array)
    ndim = len(wanted)
    # One index array for every axis: the numbers along it, shaped to broadcast with the others.
    grid = [xp.arange(n).reshape((-1,) + (1,) * (ndim - 1 - i)) for i, n in enumerate(wanted)]
    return (*grid[:axis], array, *grid[axis + 1 :])


@numpy_names
def gather(input: T, dim: int, index: Any, *, sparse_grad: bool = False) -> T:
    """result[i, j, k] = input[index[i, j, k], j, k] for dim=0, and so on for other axes.

    index: int64, as many axes as input and nowhere longer except along dim, with values in [0, length of dim); result
    of its shape. An element taken several times collects the gradients. Raises ArgumentError (an index out of range, or
    sparse_grad, which is not there), ShapeError, DTypeError. Source: torch.gather.
    """
    if sparse_grad:
        raise ArgumentError("gather", expected="sparse_grad=False", got="True", hint="There are no sparse tensors.")
    places = _places("gather", input, dim, index)
    if not input.data.ndim or not index.data.ndim:
        return input.reshape(-1)[index.data]  # type: ignore[attr-defined]
    return Index.apply(input, index=places)


def _source(who: str, input: Any, index: Any, src: Any) -> Any:
    """The part of ``src`` that goes with the index; as long as it or longer along each axis."""
    require_tensor(who, input, index, src)
    check_same_device(who, input.data, src.data)
    same_dtype(who, input, src)
    shape, wanted = src.data.shape, index.data.shape
    if index.data.size and (len(shape) != len(wanted) or any(n > m for n, m in zip(wanted, shape))):
        raise ShapeError(who, expected=f"a src at least as long as the index {wanted}", got=str(shape))
    return src[tuple([slice(0, n) for n in wanted])] if wanted != shape else src


@numpy_names
def scatter(input: T, dim: int, index: Any, src: Any) -> T:
    """A copy of input with result[index[i, j, k], j, k] = src[i, j, k] for dim=0, and so on for other axes.

    index: as for gather, nowhere longer than src; src: a tensor of the input's dtype, or a number. Of several values
    for one place the last stays, but the gradient goes to all of them, as in torch. Raises as gather does. Source:
    torch.scatter (without reduce; see scatter_add).
    """
    places = _places("scatter", input, dim, index)
    if not input.data.ndim or not index.data.ndim:
        return reshape(scatter(_flat(input), 0, _flat(index), _flat(src)), input.data.shape)
    values = _source("scatter", input, index, src) if isinstance(src, BaseTensor) else src
    return IndexPut.apply(input, values, index=places) if index.data.size else clone(input)


@numpy_names
def scatter_add(input: T, dim: int, index: Any, src: Any) -> T:
    """A copy of input with src[i, j, k] added to result[index[i, j, k], j, k] for dim=0, and so on for other axes.

    See scatter; src: a tensor. Source: torch.scatter_add.
    """
    places = _places("scatter_add", input, dim, index)
    if not input.data.ndim or not index.data.ndim:
        return reshape(scatter_add(_flat(input), 0, _flat(index), _flat(src)), input.data.shape)
    values = _source("scatter_add", input, index, src)
    if not index.data.size:
        return clone(input)
    return add(input, ScatterAdd.apply(values, index=places, shape=input.data.shape))


def _flat(values: Any) -> Any:
    return reshape(values, -1) if isinstance(values, BaseTensor) else values
