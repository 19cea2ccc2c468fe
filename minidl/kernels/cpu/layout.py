"""Copies between the memory orders of activations: every image is one matrix to transpose, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backend.layout import from_channels_last
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["contiguous", "to_channels_last"]

TILE = 16  # 16 x 16 floats: sixteen cache lines read, sixteen written, all in the first-level cache


@njit(**OPTIONS)
def _images(x: Any, start: int, stop: int, y: Any) -> None:
    """y (N, B, A) = x (N, A, B) with its last two axes exchanged, for images start ... stop - 1."""
    _, rows, columns = x.shape
    for n in range(start, stop):
        for i in range(0, rows, TILE):
            for j in range(0, columns, TILE):
                for q in range(j, min(j + TILE, columns)):
                    for p in range(i, min(i + TILE, rows)):
                        y[n, q, p] = x[n, p, q]


@njit(parallel=True, **OPTIONS)
def _all_images(x: Any, y: Any) -> None:
    for n in prange(len(x)):
        _images(x, n, n + 1, y)


def _transpose(x: Any, y: Any) -> None:
    if x.size <= GRAIN:
        _images(x, 0, len(x), y)
    else:
        with parallel_region():
            _all_images(x, y)


def _is_channels_last(x: Any) -> bool:
    return x.ndim == 4 and x.transpose(0, 2, 3, 1).flags.c_contiguous


def contiguous(x: Any) -> Any:
    if x.flags.c_contiguous:
        return x
    if not _is_channels_last(x):
        return x.copy(order="C")
    batch, channels, height, width = x.shape
    y = np.empty(x.shape, dtype=x.dtype)
    pixels = height * width
    # (N, C, H, W) -> (N, H, W, C) -> (N, H*W, C), transposed into (N, C, H*W)
    _transpose(x.transpose(0, 2, 3, 1).reshape(batch, pixels, channels), y.reshape(batch, channels, pixels))
    return y


def to_channels_last(x: Any) -> Any:
    if _is_channels_last(x):
        return x
    batch, channels, height, width = x.shape
    y = np.empty((batch, height, width, channels), dtype=x.dtype)
    pixels = height * width
    # (N, C, H, W) -> (N, C, H*W), transposed into (N, H*W, C)
    _transpose(np.ascontiguousarray(x).reshape(batch, channels, pixels), y.reshape(batch, pixels, channels))
    return from_channels_last(y)
