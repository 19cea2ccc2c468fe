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
def _transpose_image(x: Any, y: Any) -> None:
    """y (B, A) = the transpose of x (A, B)."""
    rows, columns = x.shape
    for i in range(0, rows, TILE):
        for j in range(0, columns, TILE):
            for q in range(j, min(j + TILE, columns)):
                for p in range(i, min(i + TILE, rows)):
                    y[q, p] = x[p, q]


@njit(parallel=True, **OPTIONS)
def _transpose(x: Any, y: Any) -> None:
    """y (N, B, A) = x (N, A, B) with its last two axes exchanged."""
    if x.size <= GRAIN:
        for n in range(len(x)):
            _transpose_image(x[n], y[n])
    else:
        for n in prange(len(x)):
            _transpose_image(x[n], y[n])


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
    with parallel_region():
        # (N, C, H, W) -> (N, H, W, C) -> (N, H*W, C), transposed into (N, C, H*W)
        _transpose(x.transpose(0, 2, 3, 1).reshape(batch, pixels, channels), y.reshape(batch, channels, pixels))
    return y


def to_channels_last(x: Any) -> Any:
    if _is_channels_last(x):
        return x
    batch, channels, height, width = x.shape
    y = np.empty((batch, height, width, channels), dtype=x.dtype)
    pixels = height * width
    with parallel_region():
        # (N, C, H, W) -> (N, C, H*W), transposed into (N, H*W, C)
        _transpose(np.ascontiguousarray(x).reshape(batch, channels, pixels), y.reshape(batch, pixels, channels))
    return from_channels_last(y)
