"""Philox4x32-10: random numbers as a function of a counter and a key, with no state to carry.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011. Ten rounds of multiplication,
each followed by an exclusive or with a key that steps on, turn a counter of four words into four random words.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["philox4x32", "random_words"]

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, as 32-bit fractions
WORD = 0xFFFFFFFF


def philox4x32(counter: Any, key: Any) -> Any:
    """Four random words for every counter: (..., 4) uint32 counters, (2,) uint32 key -> (..., 4) uint32."""
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(4))  # 64 bits hold a whole product
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(ROUNDS):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (second >> 32) ^ c1 ^ k0, second & WORD, (first >> 32) ^ c3 ^ k1, first & WORD
        k0, k1 = (k0 + KEY_STEPS[0]) & WORD, (k1 + KEY_STEPS[1]) & WORD
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def random_words(seed: int, step: int, site: int, count: int) -> Any:
    """The first ``count`` random words of a stream, (count,) uint32.

    Word e is word e % 4 of the block with counter (e // 4, low half of ``step``, high half of ``step``, ``site``)
    under the key (low half of ``seed``, high half of ``seed``). Always a NumPy array.
    """
    counter = np.empty(((count + 3) // 4, 4), dtype=np.uint32)
    counter[:, 0] = np.arange(len(counter))
    counter[:, 1:] = [step & WORD, step >> 32 & WORD, site & WORD]
    return philox4x32(counter, (seed & WORD, seed >> 32 & WORD)).reshape(-1)[:count]
