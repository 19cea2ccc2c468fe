"""Philox4x32-10 inside kernels; the definition is in ``plain/philox.py``. Nothing here is called from Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.shared import OPTIONS
from minidl.kernels.plain.philox import KEY_STEPS, MULTIPLIERS, WORD

__all__ = ["fill_words", "halves"]

# Words are kept in 64-bit lanes: a product of two has 64 bits, and the compiler turns it into one vector instruction.
_M0, _M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_K0, _K1 = np.uint64(KEY_STEPS[0]), np.uint64(KEY_STEPS[1])
_WORD, _HALF = np.uint64(WORD), np.uint64(32)


def halves(value: int) -> tuple[int, int]:
    """The low and the high 32 bits: kernels take a 64-bit seed or step as two plain integers."""
    return value & WORD, value >> 32 & WORD


@njit(**OPTIONS)
def _round(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    first, second = c0 * _M0, c2 * _M1
    return (second >> _HALF) ^ c1 ^ k0, second & _WORD, (first >> _HALF) ^ c3 ^ k1, first & _WORD


@njit(**OPTIONS)
def fill_words(start: int, seed: tuple[int, int], step: tuple[int, int], site: int, words: Any) -> None:
    """words (4 * B,) uint32 = the blocks with counters (start + b, step low, step high, site), b = 0 ... B - 1."""
    a0, a1 = np.uint64(seed[0]), np.uint64(seed[1])
    # The ten keys by name and the ten rounds in a line: a loop inside the loop would keep it from vector lanes.
    b0, b1 = (a0 + _K0) & _WORD, (a1 + _K1) & _WORD
    d0, d1 = (b0 + _K0) & _WORD, (b1 + _K1) & _WORD
    e0, e1 = (d0 + _K0) & _WORD, (d1 + _K1) & _WORD
    f0, f1 = (e0 + _K0) & _WORD, (e1 + _K1) & _WORD
    g0, g1 = (f0 + _K0) & _WORD, (f1 + _K1) & _WORD
    h0, h1 = (g0 + _K0) & _WORD, (g1 + _K1) & _WORD
    i0, i1 = (h0 + _K0) & _WORD, (h1 + _K1) & _WORD
    j0, j1 = (i0 + _K0) & _WORD, (i1 + _K1) & _WORD
    l0, l1 = (j0 + _K0) & _WORD, (j1 + _K1) & _WORD
    for b in range(words.size // 4):
        c0, c1, c2, c3 = np.uint64(start + b) & _WORD, np.uint64(step[0]), np.uint64(step[1]), np.uint64(site)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, a0, a1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, b0, b1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, d0, d1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, e0, e1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, f0, f1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, g0, g1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, h0, h1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, i0, i1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, j0, j1)
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, l0, l1)
        words[4 * b] = c0
        words[4 * b + 1] = c1
        words[4 * b + 2] = c2
        words[4 * b + 3] = c3
