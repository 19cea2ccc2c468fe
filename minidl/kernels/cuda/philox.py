"""Random words from Philox4x32-10 on the GPU; definition in ``plain/philox.py``. Dropout and augmentation draw alone.

``random_words`` has no form here: its words are for the host.
"""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda.layout import contiguous
from minidl.kernels.cuda.shared import THREADS, blocks, empty, program

__all__ = ["philox4x32"]

CUDA = program("philox")


def philox4x32(counter: Any, key: Any) -> Any:
    """Four random words for every counter; the key is a pair of integers of the host."""
    counter = contiguous(counter)
    words = empty(counter, counter.shape)
    count = counter.size // 4
    CUDA.launch("blocks", blocks(count), THREADS, counter, words, int(key[0]), int(key[1]), count)
    return words
