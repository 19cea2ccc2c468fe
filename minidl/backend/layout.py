"""Memory layout: activations have the logical shape (N, C, H, W); in memory their axes may lie in another order.

The CPU's kernels work on (N, H, W, C), "channels last"; the GPU's on (C, N, H, W), "channels outermost".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["channels_last", "channels_outermost", "from_channels_last", "lies_as", "memory_order"]


def channels_last(x: Any) -> Any:
    """The C-contiguous (N, H, W, C) array of a logical (N, C, H, W) one: a view where memory lies so, else a copy."""
    nhwc = x.transpose(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
    return nhwc if nhwc.flags.c_contiguous else nhwc.copy(order="C")


def from_channels_last(nhwc: Any) -> Any:
    """The logical (N, C, H, W) view of an array that lies in memory as (N, H, W, C)."""
    return nhwc.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)


@lru_cache(maxsize=64)
def channels_outermost(ndim: int) -> tuple[int, ...]:
    """The axes of (N, C, ...) in the order (C, N, ...); exchanging them again gives (N, C, ...) back."""
    return (1, 0, *range(2, ndim))


def lies_as(x: Any, axes: tuple[int, ...]) -> bool:
    """Whether memory holds x without gaps, its axes from the outermost to the innermost being ``axes``."""
    return _lies_as(x.shape, x.strides, x.itemsize, axes)


def memory_order(x: Any) -> tuple[int, ...] | None:
    """The axes of x as they lie in memory, innermost last, those of length 1 left out; None if there are gaps."""
    return _memory_order(x.shape, x.strides, x.itemsize)


@lru_cache(maxsize=4096)
def _lies_as(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, axes: tuple[int, ...]) -> bool:
    step = itemsize
    for axis in reversed(axes):
        if shape[axis] != 1 and strides[axis] != step and 0 not in shape:
            return False
        step *= shape[axis]
    return True


@lru_cache(maxsize=4096)
def _memory_order(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, ...] | None:
    if 0 in shape:
        return ()
    axes = tuple(sorted((a for a in range(len(shape)) if shape[a] != 1), key=lambda a: -strides[a]))
    return axes if _lies_as(shape, strides, itemsize, axes) else None
