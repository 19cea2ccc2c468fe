"""Copies between the memory orders of activations: every image is one matrix to transpose, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.backend.layout import from_channels_last
from minidl.kernels.cpu.caching import njit
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


@njit(**OPTIONS)
def _split_three(x: Any, y: Any) -> None:
    """y (3 * P,) = the three planes of x (P * 3,)."""
    P = len(x) // 3
    first, second, third = y[:P], y[P : 2 * P], y[2 * P :]
    for p in range(P):
        first[p], second[p], third[p] = x[3 * p], x[3 * p + 1], x[3 * p + 2]


@njit(**OPTIONS)
def _join_three(x: Any, y: Any) -> None:
    """y (P * 3,) = the three planes of x (3 * P,), pixel by pixel."""
    P = len(x) // 3
    first, second, third = x[:P], x[P : 2 * P], x[2 * P :]
    for p in range(P):
        y[3 * p], y[3 * p + 1], y[3 * p + 2] = first[p], second[p], third[p]


@njit(**OPTIONS)
def _images_of_three(x: Any, y: Any, join: bool, start: int, stop: int) -> None:
    for n in range(start, stop):
        if join:
            _join_three(x[n], y[n])
        else:
            _split_three(x[n], y[n])


@njit(parallel=True, **OPTIONS)
def _all_images_of_three(x: Any, y: Any, join: bool) -> None:
    for n in prange(len(x)):
        _images_of_three(x, y, join, n, n + 1)


def _transpose_three(x: Any, y: Any, join: bool) -> None:
    """Between pixels of three channels and three planes of pixels, each image flat.

    Colour images are many; with three written out the compiler shuffles whole vectors: a sixth of the time of tiles.
    """
    if x.size <= GRAIN:
        _images_of_three(x, y, join, 0, len(x))
    else:
        with parallel_region():
            _all_images_of_three(x, y, join)


def _transpose(x: Any, y: Any) -> None:
    if x.shape[2] == 3 or x.shape[1] == 3:
        flat = len(x), x.shape[1] * x.shape[2]  # (N, A, B) -> (N, A * B)
        _transpose_three(x.reshape(flat), y.reshape(flat), x.shape[1] == 3)
    elif x.size <= GRAIN:
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
