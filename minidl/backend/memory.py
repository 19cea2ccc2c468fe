"""What becomes of memory that arrays have left: back to the system at once, or kept for the next array."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # numbers of glibc's malloc.h
_KEEP = 2**30  # bytes
_AHEAD = 2**26  # bytes


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next arrays, up to a GiB; True where the C library can (glibc's).

    By default glibc gives blocks of more than 32 MiB back to the system when they are freed, and the next training
    step waits while the system clears the same pages again, for every activation: up to a quarter of its time (batches
    of 128 of a network with four convolutions: 137 ms a step, with this 104). It holds for the whole process, from
    the call on, and is nothing that an import should do: programs that train call it once, at the start, as the
    examples do. Source: mallopt(3), M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD.
    """
    if sys.platform != "linux":
        return False
    change = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none, or one that does nothing
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEEP), (_TOP_PAD, _AHEAD))
    return change is not None and all(change(name, value) == 1 for name, value in settings)
