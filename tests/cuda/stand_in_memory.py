"""The stand-in's memory and its errors: what is allocated, how it is spoilt, and what CuPy says when there is none."""

from __future__ import annotations

import numpy as np

__all__ = [
    "CUDARuntimeError",
    "Memory",
    "MemoryPool",
    "OutOfMemoryError",
    "capture_forbids",
    "owned",
    "poison",
    "root_of",
]

ALIGNMENT = 512  # of every allocation, as in CuPy's pool


class CUDARuntimeError(RuntimeError):
    """What CuPy raises for a CUDA error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class OutOfMemoryError(MemoryError):
    """What CuPy raises when the device is full."""


OutOfMemoryError.__module__ = "cupy.cuda.memory"


def capture_forbids(what: str) -> CUDARuntimeError:
    return CUDARuntimeError(900, f"cudaErrorStreamCaptureUnsupported: {what} while a stream is being captured")


class Memory:
    """What ``ndarray.data`` is: an address."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


def poison(memory: np.ndarray) -> None:
    """NaN for floats, a number that is no sensible index or count for integers."""
    memory[...] = np.nan if memory.dtype.kind == "f" else np.iinfo(memory.dtype).max if memory.dtype.kind in "iu" else 1


class MemoryPool:
    """Counts what was allocated through it; memory itself is NumPy's."""

    def __init__(self) -> None:
        self.bytes = self.limit = 0

    def set_limit(self, size: int) -> None:
        self.limit = size

    def malloc(self, size: int) -> None:
        if self.limit and self.bytes + size > self.limit:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes (allocated so far: {self.bytes:,} bytes).")
        self.bytes += size

    def free(self, size: int) -> None:
        self.bytes -= size

    def used_bytes(self) -> int:
        return self.bytes

    def total_bytes(self) -> int:
        return self.bytes

    def free_all_blocks(self) -> None: ...


def root_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory."""
    return array.base if isinstance(array.base, np.ndarray) else array


def owned(values: np.ndarray) -> np.ndarray:
    """The values in C order in memory of their own, aligned as CuPy's."""
    room = np.zeros(values.nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    memory = room[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    memory[...] = values
    return memory
