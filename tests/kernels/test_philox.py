"""Philox4x32-10 against the published vectors and a straightforward version in integers; dropout drawn from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.kernels.cpu import dropout as cpu
from minidl.kernels.plain import dropout as plain
from minidl.kernels.plain.philox import philox4x32, random_words

from .arrays import layouts, normal

# Known answers of the Random123 library (kat_vectors, "philox4x32 10"): counter, key, result.
PUBLISHED = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def in_integers(counter: list[int], key: list[int]) -> list[int]:
    """The algorithm of Salmon et al. 2011 in Python's own integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        left, right = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(right >> 32) ^ c[1] ^ k[0], right % 2**32, (left >> 32) ^ c[3] ^ k[1], left % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), PUBLISHED)
def test_published_vectors(counter: str, key: str, expected: str) -> None:
    assert in_integers(words(counter), words(key)) == words(expected)
    got = philox4x32(np.array(words(counter), dtype=np.uint32), np.array(words(key), dtype=np.uint32))
    assert got.dtype == np.uint32
    assert got.tolist() == words(expected)


def test_random_words_number_blocks_steps_and_sites() -> None:
    seed, step, site = 0xFEDCBA9876543210, 0x123456789ABCDEF0, 7
    expected: list[int] = []
    for block in range(3):
        expected += in_integers([block, 0x9ABCDEF0, 0x12345678, site], [0x76543210, 0xFEDCBA98])
    assert random_words(seed, step, site, 12).tolist() == expected
    assert random_words(seed, step, site, 10).tolist() == expected[:10]
    assert random_words(seed, step, site, 0).shape == (0,)


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_keeps_what_its_words_say(kernels: Any, dtype: Any) -> None:
    seed, step, site = 2**63 + 11, 2**40 + 5, 1
    for shape in ((2, 3, 5, 7), (1, 1030), (13,), (), (0, 4), (4, 3, 70, 70)):
        x = np.asarray(normal(*shape), dtype=dtype)
        keep = random_words(seed, step, site, x.size) >= int(0.3 * 2**32)
        if x.ndim == 4:
            n, c, h, w = shape
            keep = keep.reshape(n, h, w, c).transpose(0, 3, 1, 2)
        expected = np.where(keep.reshape(shape), x * dtype(1 / 0.7), 0)
        for x_ in layouts(x) if x.ndim > 1 else [x]:  # the mask does not depend on how x lies in memory
            y = kernels.dropout_forward(x_, 0.3, seed, step, site)
            assert isinstance(y, np.ndarray)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_dropout_rate(p: float) -> None:
    x = np.ones((100, 1000), dtype=np.float32)
    kept = np.count_nonzero(cpu.dropout_forward(x, p, 3, 4, 1))
    assert abs(kept - x.size * (1 - p)) <= 4 * np.sqrt(x.size * p * (1 - p))
    other = cpu.dropout_forward(x, p, 3, 5, 1)
    assert p == 0 or (other != cpu.dropout_forward(x, p, 3, 4, 1)).any()  # another step, another mask


@pytest.mark.parametrize("kernels", [plain, cpu])
def test_a_word_equal_to_the_threshold_is_kept(kernels: Any) -> None:
    words_ = random_words(1, 2, 3, 8)
    y = kernels.dropout_forward(np.ones(8), float(words_[5]) / 2**32, 1, 2, 3)
    np.testing.assert_array_equal(y != 0, words_ >= words_[5])
