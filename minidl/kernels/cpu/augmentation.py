"""A training batch from stored images on the CPU, one image at a time; definition in ``plain/augmentation.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.backend.layout import from_channels_last
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.philox import fill_words, halves
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["augment_batch"]


@njit(**OPTIONS)
def _normalised(mean: Any, std: Any) -> Any:
    """(256, C): there are only 256 pixel values, so their normalised values are looked up instead of computed."""
    table = np.empty((256, len(mean)), np.float32)
    for value in range(256):
        for c in range(len(mean)):
            table[value, c] = (np.float32(value) / np.float32(255) - mean[c]) / std[c]
    return table


@njit(**OPTIONS)
def _images(
    images: Any,
    index: Any,
    start: int,
    stop: int,
    padding: int,
    flip: int,
    table: Any,
    seed: tuple[int, int],
    step: tuple[int, int],
    site: int,
    y: Any,
) -> None:
    """Images start ... stop - 1 of y (N, H, W, C)."""
    _, height, width, channels = images.shape
    words = np.empty(4, np.uint32)
    for n in range(start, stop):
        fill_words(n, seed, step, site, words)
        top = (np.int64(words[0]) * (2 * padding + 1) >> 32) - padding
        left = (np.int64(words[1]) * (2 * padding + 1) >> 32) - padding
        flipped = np.int64(words[2]) < flip
        image = index[n]
        for h in range(height):
            row = h + top
            for w in range(width):
                column = (width - 1 - w if flipped else w) + left
                if row < 0 or row >= height or column < 0 or column >= width:
                    for c in range(channels):
                        y[n, h, w, c] = table[0, c]
                else:
                    for c in range(channels):
                        y[n, h, w, c] = table[images[image, row, column, c], c]


@njit(parallel=True, **OPTIONS)
def _all_images(
    images: Any,
    index: Any,
    padding: int,
    flip: int,
    table: Any,
    seed: tuple[int, int],
    step: tuple[int, int],
    site: int,
    y: Any,
) -> None:
    for n in prange(len(index)):
        _images(images, index, n, n + 1, padding, flip, table, seed, step, site, y)


def augment_batch(
    images: Any, index: Any, padding: int, flip: float, mean: Any, std: Any, seed: int, step: int, site: int
) -> Any:
    y = np.empty((len(index), *images.shape[1:]), dtype=np.float32)
    images, index = np.ascontiguousarray(images), np.ascontiguousarray(index, dtype=np.int64)
    table = _normalised(np.ascontiguousarray(mean, dtype=np.float32), np.ascontiguousarray(std, dtype=np.float32))
    draw = padding, int(flip * 2**32), table, halves(seed), halves(step), site
    if y.size <= GRAIN:
        _images(images, index, 0, len(index), *draw, y)
    else:
        with parallel_region():
            _all_images(images, index, *draw, y)
    return from_channels_last(y)
