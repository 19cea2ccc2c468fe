"""Whole batches as the compiled kernel makes them, against the plain one that specifies it: the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import kernels
from minidl.backend.random import Generator
from minidl.data.augmentation import Augmentation, make_batch
from minidl.errors import ArgumentError
from minidl.kernels.plain import augmentation as plain


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 5, 60])  # 60 images are more than one piece of work
@pytest.mark.parametrize(("padding", "flip"), [(0, 0.0), (4, 0.5), (30, 1.0)])
def test_the_kernel_is_the_plain_one(channels: int, count: int, padding: int, flip: float) -> None:
    random = np.random.default_rng(count)
    images = random.integers(0, 256, (70, 17, 20, channels), np.uint8)
    index = random.integers(0, 70, count)
    mean, std = (random.random(channels, np.float32) + np.float32(0.1) for _ in range(2))
    generator = Generator(2**63 + 5)  # both words of the key
    generator.step = 2**33 + 1  # and of the counter
    stream = generator.stream(2)
    assert kernels.dialect_of("augment_batch", images) == "cpu"
    ours = make_batch(images, index, Augmentation(padding, flip), mean, std, stream)
    expected = plain.augment_batch(images, index, padding, flip, mean, std, *stream)
    assert ours.shape == (count, channels, 17, 20)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, expected)


def test_a_random_batch_needs_a_stream() -> None:
    with pytest.raises(ArgumentError, match="stream"):
        make_batch(
            np.zeros((1, 4, 4, 1), np.uint8), np.zeros(1, np.int64), Augmentation(1), np.zeros(1), np.ones(1), None
        )
