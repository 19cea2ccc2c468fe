"""Launches the kernel of ``augmentation.cu``; definition in ``plain/augmentation.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cuda.layout import contiguous
from minidl.kernels.cuda.shared import THREADS, blocks, empty_channels_outermost, program, stream

__all__ = ["augment_batch"]

CUDA = program("augmentation")


def augment_batch(
    images: Any, index: Any, padding: int, flip: float, mean: Any, std: Any, seed: int, step: Any, site: int
) -> Any:
    """As in the plain dialect, all arrays on the GPU; the result lies in memory as (C, N, H, W).

    ``step`` may be an array on the GPU, (1,) uint64, which is read when the kernel runs.
    """
    _, H, W, C = images.shape
    y = empty_channels_outermost(images, (index.size, C, H, W), np.float32)
    arrays = contiguous(images), contiguous(index), contiguous(mean), contiguous(std)
    pixels = index.size * H * W
    numbers = H, W, C, padding, int(flip * 2**32), *stream(seed, step, site), pixels
    CUDA.launch("augment", blocks(pixels), THREADS, *arrays, y, *numbers)
    return y
