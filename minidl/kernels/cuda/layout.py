"""Copies between the memory orders of arrays on the GPU; results as in ``plain/layout.py``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backend.layout import channels_outermost, lies_as, memory_order
from minidl.kernels.cuda.shared import THREADS, blocks, empty, empty_channels_outermost, empty_like, program

__all__ = ["contiguous", "dense", "in_order_of", "to_channels_outermost"]

CUDA = program("layout")
REALS = (np.float32, np.float64)
TILE = 32


def _exchange(x: Any, y: Any, rows: int, columns: int) -> None:
    """Copy x, seen as (rows, columns, inner), to y, seen as (columns, rows, inner); both in C order."""
    inner = x.size // max(rows * columns, 1)
    if inner == 1:
        across = blocks(columns, TILE)
        CUDA.launch("transpose", blocks(rows, TILE) * across, THREADS, x, y, rows, columns, across)
    else:
        CUDA.launch("exchange", blocks(x.size), THREADS, x, y, rows, columns, inner, x.size)


def contiguous(x: Any) -> Any:
    """The same values in C order, any shape: x itself if it lies so already, else a copy."""
    if x.flags.c_contiguous:
        return x
    if x.ndim >= 2 and x.dtype in REALS and lies_as(x, channels_outermost(x.ndim)):
        y = empty(x, x.shape)
        rows = x.transpose(channels_outermost(x.ndim))  # (N, C, ...) -> (C, N, ...)
        _exchange(rows, y, rows.shape[0], rows.shape[1])
        return y
    return x.copy(order="C")


def to_channels_outermost(x: Any) -> Any:
    """The same (N, C, ...) array in the memory order (C, N, ...): x itself if it lies so already, else a copy."""
    axes = channels_outermost(x.ndim)
    if lies_as(x, axes):
        return x
    y = empty_channels_outermost(x, x.shape)
    batch, channels = x.shape[:2]
    last = (0, *range(2, x.ndim), 1)
    if x.dtype in REALS and x.flags.c_contiguous:
        _exchange(x, y.transpose(axes), batch, channels)
    elif x.dtype in REALS and lies_as(x, last):  # batches from the CPU come as (N, H, W, C)
        _exchange(x.transpose(last), y.transpose(axes), math.prod(x.shape) // max(channels, 1), channels)
    else:
        y[...] = x
    return y


def dense(x: Any) -> Any:
    """x itself if it lies in memory without gaps, in whatever order; else a copy in C order."""
    return x if memory_order(x) is not None else x.copy(order="C")


def in_order_of(like: Any, x: Any) -> Any:
    """x in the memory order of ``like``, an array of its shape without gaps: itself or a copy."""
    if memory_order(x) == memory_order(like):
        return x
    if like.ndim >= 2 and lies_as(like, channels_outermost(like.ndim)):
        return to_channels_outermost(x)
    if like.flags.c_contiguous:
        return contiguous(x)
    y = empty_like(like)
    y[...] = x
    return y
