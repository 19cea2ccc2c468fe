"""Philox, dropout and augmentation on the emulated GPU: published vectors, and exactly the bits of the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparison import both_orders, orders
from emulator import Emulator
from kernels.arrays import normal
from kernels.test_philox import PUBLISHED, words

from minidl.kernels.cpu import augmentation as cpu_augmentation
from minidl.kernels.cpu import dropout as cpu_dropout
from minidl.kernels.cuda import augmentation, dropout, philox
from minidl.kernels.plain import augmentation as plain_augmentation
from minidl.kernels.plain import dropout as plain_dropout
from minidl.kernels.plain import philox as plain_philox

Kernel = Callable[..., Any]

SEED, STEP = 2**63 + 11, 2**40 + 5


def same_bits(
    emulator: Emulator, cuda: Callable[..., Any], others: tuple[Callable[..., Any], ...], *arguments: Any
) -> Any:
    result = both_orders(emulator, lambda: cuda(*arguments))
    for other in others:
        expected = other(*arguments)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)
    return result


@pytest.mark.parametrize(("counter", "key", "expected"), PUBLISHED)
def test_published_vectors(emulator: Emulator, counter: str, key: str, expected: str) -> None:
    got = philox.philox4x32(np.array(words(counter), np.uint32), words(key))
    assert got.tolist() == words(expected)


def test_many_counters(emulator: Emulator) -> None:
    counters = np.random.default_rng(0).integers(0, 2**32, (3, 100, 4), dtype=np.uint32)
    key = np.array([7, 2**32 - 1], np.uint32)
    for x in orders(counters):
        same_bits(emulator, philox.philox4x32, (plain_philox.philox4x32,), x, key)
    assert philox.philox4x32(counters[:0], key).shape == (0, 100, 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_dropout(emulator: Emulator, dtype: Any, p: float) -> None:
    dialects = plain_dropout.dropout_forward, cpu_dropout.dropout_forward
    for shape in ((2, 3, 5, 7), (3, 8, 5, 3), (1, 4, 1, 1), (2, 1, 3, 3), (1, 1030), (13,), (), (0, 4), (0, 4, 2, 2)):
        x = np.asarray(normal(*shape), dtype)
        for y in orders(x) if x.ndim > 1 else [x]:
            same_bits(emulator, dropout.dropout_forward, dialects, y, p, SEED, STEP, 1)


def test_a_word_equal_to_the_threshold_is_kept(emulator: Emulator) -> None:
    drawn = plain_philox.random_words(1, 2, 3, 8)
    y = dropout.dropout_forward(np.ones(8), float(drawn[5]) / 2**32, 1, 2, 3)
    np.testing.assert_array_equal(y != 0, drawn >= drawn[5])


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 7, 5, 3), dtype=np.uint8)
MEAN, STD = np.float32([0.4914, 0.4822, 0.4465]), np.float32([0.247, 0.2435, 0.2616])


@pytest.mark.parametrize(("padding", "flip"), [(0, 0.0), (3, 0.5), (2, 1.0), (9, 0.5)])
def test_augmentation(emulator: Emulator, padding: int, flip: float) -> None:
    dialects = plain_augmentation.augment_batch, cpu_augmentation.augment_batch
    for images in (IMAGES, IMAGES[:, ::-1], IMAGES[..., :1]):
        channels = images.shape[3]
        for index in (np.array([5, 0, 0, 3, 2, 1, 5]), np.arange(6)[::2], np.empty(0, np.int64)):
            arguments = images, index, padding, flip, MEAN[:channels], STD[:channels], SEED, STEP, 2
            y = same_bits(emulator, augmentation.augment_batch, dialects, *arguments)
            assert y.swapaxes(0, 1).flags.c_contiguous


def test_an_image_whose_word_equals_the_threshold_is_not_flipped(emulator: Emulator) -> None:
    flip = float(plain_philox.random_words(SEED, STEP, 2, 24)[4 * 3 + 2]) / 2**32  # the word of image 3
    arguments = IMAGES, np.arange(6), 0, flip, MEAN, STD, SEED, STEP, 2
    same_bits(emulator, augmentation.augment_batch, (plain_augmentation.augment_batch,), *arguments)


def test_a_step_on_the_device_is_read_when_the_kernel_runs(emulator: Emulator) -> None:
    """What a captured graph does: launch again and again with the same arguments, and draw anew."""
    step, x = np.zeros(1, np.uint64), np.ones((2, 3, 4, 4))
    for now in (3, 2**40 + 1):
        step[0] = now
        expected = plain_dropout.dropout_forward(x, 0.5, SEED, now, 1)
        np.testing.assert_array_equal(dropout.dropout_forward(x, 0.5, SEED, step, 1), expected)
        arguments = IMAGES, np.arange(6), 2, 0.5, MEAN, STD, SEED
        expected = plain_augmentation.augment_batch(*arguments, now, 2)
        np.testing.assert_array_equal(augmentation.augment_batch(*arguments, step, 2), expected)
