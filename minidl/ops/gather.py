"""Picking elements by an index tensor of the same number of axes."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.backend.arrays import check_same_device, namespace
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.indexing import Index
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import require_tensor
from minidl.ops.reduction import normalize_axis

__all__ = ["gather"]


@numpy_names
def gather(input: T, dim: int, index: Any, *, sparse_grad: bool = False) -> T:
    """result[i, j, k] = input[index[i, j, k], j, k] for dim=0, and so on for other axes.

    index: int64, as many axes as input and nowhere longer except along dim, with values in [0, length of dim); result
    of its shape. An element taken several times collects the gradients. Raises ArgumentError (an index out of range, or
    sparse_grad, which is not there), ShapeError, DTypeError. Source: torch.gather.
    """
    require_tensor("gather", input, index)
    check_same_device("gather", input.data, index.data)
    if sparse_grad:
        raise ArgumentError("gather", expected="sparse_grad=False", got="True", hint="There are no sparse tensors.")
    if index.data.dtype.kind not in "iu":
        raise DTypeError("gather", expected="an integer index", got=str(index.data.dtype))
    shape, wanted = input.data.shape, index.data.shape
    axis = normalize_axis("gather", dim, len(shape))
    if max(len(shape), 1) != max(len(wanted), 1):
        raise ShapeError("gather", expected=f"an index with {len(shape)} axes (input: {shape})", got=str(wanted))
    if index.data.size and any(n > m for i, (n, m) in enumerate(zip(wanted, shape)) if i != axis):
        raise ShapeError("gather", expected=f"an index no longer than {shape} but along axis {axis}", got=str(wanted))
    length = shape[axis] if shape else 1
    array = index.data
    if array.size and (array.min() < 0 or array.max() >= length):
        raise ArgumentError(
            "gather", expected=f"indices in [0, {length})", got=f"{int(array.min())} to {int(array.max())}"
        )
    if not shape or not wanted:
        return input.reshape(-1)[array]  # type: ignore[attr-defined]
    xp = namespace(array)
    ndim = len(shape)
    # One index array for every axis: the numbers along it, shaped to broadcast with the others.
    grid = [xp.arange(n).reshape((-1,) + (1,) * (ndim - 1 - i)) for i, n in enumerate(wanted)]
    grid[axis] = array
    return Index.apply(input, index=tuple(grid))
