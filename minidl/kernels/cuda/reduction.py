"""Launches the kernels of ``reduction.cu``: the sum over all axes but the channels, as in ``plain/gemm.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cuda.layout import to_channels_outermost
from minidl.kernels.cuda.shared import THREADS, WARP, blocks, empty, program

__all__ = ["channel_sum"]

CUDA = program("reduction")
PIECE, COLUMNS = 4096, 32  # as in the source


def channel_sum(x: Any) -> Any:
    channels = x.shape[1]
    sums = empty(x, (channels,))
    if not x.size:
        sums[...] = 0
        return sums
    if x.ndim == 2 and x.flags.c_contiguous:
        CUDA.launch("column_sums", blocks(channels, COLUMNS), THREADS, x, sums, *x.shape)
        return sums
    x = to_channels_outermost(x)
    pixels = x.size // channels
    pieces = blocks(pixels, PIECE)
    if pieces == 1:
        CUDA.launch("channel_pieces", channels, THREADS, x, None, sums, pixels, pieces)
        return sums
    totals = empty(x, (channels, pieces), np.float64)
    CUDA.launch("channel_pieces", channels * pieces, THREADS, x, totals, None, pixels, pieces)
    CUDA.launch("add_pieces", blocks(channels * WARP), THREADS, totals, sums, channels, pieces)
    return sums
