"""A training batch from stored images: gather, random crop, random flip, normalise."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.plain.philox import random_words

__all__ = ["augment_batch"]


def augment_batch(
    images: Any, index: Any, padding: int, flip: float, mean: Any, std: Any, seed: int, step: int, site: int
) -> Any:
    """``images[index]``, each cropped and flipped at random, as ((pixel / 255) - mean) / std.

    ``images`` (M, H, W, C) uint8; ``index`` (N,) int64 in [0, M); ``mean`` and ``std`` (C,) float32. Every image gets a
    border of ``padding`` zero pixels and is cropped back to (H, W), then mirrored with probability ``flip``, as
    torchvision's RandomCrop, RandomHorizontalFlip, ToTensor, Normalize: the border is black before normalisation.
    Returns (N, C, H, W) float32 in channels-last memory.

    The draws of image n are block n of the Philox stream (seed, step, site): row offset = (word 0 * (2 * padding +
    1)) >> 32, column offset likewise from word 1, flip if word 2 < floor(flip * 2**32).
    """
    _, height, width, _ = images.shape
    count = len(index)
    words = random_words(seed, step, site, 4 * count).reshape(count, 4).astype(np.uint64)
    row, column = words[:, 0] * (2 * padding + 1) >> 32, words[:, 1] * (2 * padding + 1) >> 32
    flipped = words[:, 2] < int(flip * 2**32)

    padded = np.pad(images[index], ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows = row.astype(np.int64)[:, None] + np.arange(height)  # (N, H)
    columns = np.where(flipped[:, None], np.arange(width)[::-1], np.arange(width))
    columns = column.astype(np.int64)[:, None] + columns  # (N, W)
    cropped = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    normalised = (cropped.astype(np.float32) / np.float32(255) - mean) / std
    return normalised.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
