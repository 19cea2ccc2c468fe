"""A training batch from stored images on the CPU, one image at a time; definition in ``plain/augmentation.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backend.layout import from_channels_last
from minidl.kernels.cpu.philox import fill_words, halves
from minidl.kernels.cpu.shared import OPTIONS
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["augment_batch"]


@njit(parallel=True, **OPTIONS)
def _augment(
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
    """y (N, H, W, C); ``table`` (256, C): the normalised value of every pixel value."""
    _, height, width, channels = images.shape
    for n in prange(len(index)):
        words = np.empty(4, np.uint32)
        fill_words(n, seed, step, site, words)
        top = (np.int64(words[0]) * (2 * padding + 1) >> 32) - padding
        left = (np.int64(words[1]) * (2 * padding + 1) >> 32) - padding
        flipped = np.int64(words[2]) < flip
        image = images[index[n]]
        for h in range(height):
            row = h + top
            for w in range(width):
                column = (width - 1 - w if flipped else w) + left
                if row < 0 or row >= height or column < 0 or column >= width:
                    for c in range(channels):
                        y[n, h, w, c] = table[0, c]
                else:
                    for c in range(channels):
                        y[n, h, w, c] = table[image[row, column, c], c]


def augment_batch(
    images: Any, index: Any, padding: int, flip: float, mean: Any, std: Any, seed: int, step: int, site: int
) -> Any:
    y = np.empty((len(index), *images.shape[1:]), dtype=np.float32)
    values = np.arange(256, dtype=np.float32)[:, None]
    # There are only 256 pixel values: their normalised values are looked up instead of computed.
    table = ((values / np.float32(255) - mean) / std).astype(np.float32)
    images, index = np.ascontiguousarray(images), np.ascontiguousarray(index, dtype=np.int64)
    with parallel_region():
        _augment(images, index, padding, int(flip * 2**32), table, halves(seed), halves(step), site, y)
    return from_channels_last(y)
