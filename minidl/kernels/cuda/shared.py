"""What the launching side of the kernels has in common: sources, results in memory orders, sizes of grids."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backend.arrays import namespace
from minidl.backend.launcher import Program
from minidl.backend.layout import channels_outermost

__all__ = [
    "THREADS",
    "WARP",
    "blocks",
    "empty",
    "empty_channels_outermost",
    "empty_like",
    "program",
    "stream",
    "window",
]

Pair = tuple[int, int]

THREADS = 256  # in a block: eight warps, few enough that a block with many registers still fits
WARP = 32  # threads that run in step, and can exchange numbers without memory


def program(name: str) -> Program:
    """The kernels of ``name``.cu in this folder."""
    folder = Path(__file__).parent
    return Program(folder / f"{name}.cu", folder / "common.cu")


def blocks(count: int, each: int = THREADS) -> int:
    """How many blocks ``count`` elements take, ``each`` for one block; by default every thread gets one."""
    return -(-count // each)


@lru_cache(maxsize=1024)
def window(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair) -> np.ndarray:
    """The structure ``Window`` of common.cu: pairs (rows, columns); its numbers packed once for many launches."""
    packed = np.array([*size, *kernel, *stride, *padding, *dilation, *output_size], np.int32)
    packed.flags.writeable = False
    return packed


def stream(seed: int, step: Any, site: int) -> tuple[tuple[int, int, int], Any | None]:
    """The arguments ``Stream given`` and ``current`` of a kernel: the step is a number, or an array on the GPU."""
    if isinstance(step, (int, np.integer)):
        return (seed % 2**64, int(step) % 2**64, site), None
    return (seed % 2**64, 0, site), step


def empty(like: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
    """An array in C order where ``like`` lies, not initialised; of its type unless another is named."""
    return namespace(like).empty(shape, dtype or like.dtype)


def empty_like(x: Any) -> Any:
    """An array of the shape, type and memory order of x, an array without gaps; not initialised."""
    if x.flags.c_contiguous:
        return empty(x, x.shape)
    axes = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    inverse = tuple(sorted(range(x.ndim), key=axes.__getitem__))
    return empty(x, tuple([x.shape[axis] for axis in axes])).transpose(inverse)


def empty_channels_outermost(like: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
    """A logical (N, C, ...) array of ``shape`` that lies in memory as (C, N, ...), not initialised."""
    axes = channels_outermost(len(shape))
    return empty(like, tuple(shape[axis] for axis in axes), dtype).transpose(axes)  # (C, N, ...) -> (N, C, ...)
