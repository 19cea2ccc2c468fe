"""Launches the kernel of ``dropout.cu``; formula and numbering in ``plain/dropout.py``."""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda.layout import contiguous, to_channels_outermost
from minidl.kernels.cuda.shared import THREADS, blocks, empty_like, program, stream

__all__ = ["dropout_forward"]

CUDA = program("dropout")


def dropout_forward(x: Any, p: float, seed: int, step: Any, site: int) -> Any:
    """As in the plain dialect; ``step`` may be an array on the GPU, (1,) uint64, which is read when the kernel runs."""
    x = to_channels_outermost(x) if x.ndim == 4 else contiguous(x)
    y = empty_like(x)
    channels = x.shape[1] if x.ndim == 4 else 1
    pixels = x.size // max(channels, 1)
    count = blocks(x.size, 4)
    numbers = channels, pixels, int(p * 2**32), 1 / (1 - p), *stream(seed, step, site), count
    CUDA.launch("dropout", blocks(count), THREADS, x, y, *numbers)
    return y
