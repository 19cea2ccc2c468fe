"""The augmented batch against torchvision's transforms applied image by image, and its draws against their odds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as T

from minidl.kernels.cpu import augmentation as cpu
from minidl.kernels.plain import augmentation as plain
from minidl.kernels.plain.philox import random_words

from .arrays import close

MEAN, STD = np.float32([0.4914, 0.4822, 0.4465]), np.float32([0.247, 0.2435, 0.2616])


def one_by_one(images: Any, index: Any, padding: int, flip: float, stream: tuple[int, int, int]) -> Any:
    """The same batch by torchvision: pad, crop at the drawn place, mirror, ToTensor, Normalize."""
    height, width = images.shape[1:3]
    batch = []
    for n, i in enumerate(index):
        words = [int(word) for word in random_words(*stream, 4 * len(index))[4 * n : 4 * n + 4]]
        image = T.pad(torch.tensor(images[i]).permute(2, 0, 1), [padding])
        image = T.crop(image, words[0] * (2 * padding + 1) >> 32, words[1] * (2 * padding + 1) >> 32, height, width)
        if words[2] < flip * 2**32:
            image = T.hflip(image)
        batch.append(T.normalize(image.float() / 255, MEAN.tolist(), STD.tolist()))
    return torch.stack(batch).numpy()


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize(("padding", "flip"), [(0, 0.0), (3, 0.5), (2, 1.0), (9, 0.5)])
def test_equals_torchvision(kernels: Any, padding: int, flip: float) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 7, 5, 3), dtype=np.uint8)
    index = np.array([5, 0, 0, 3, 2, 1, 5])
    stream = (2**63 + 1, 2**33, 2)
    got = kernels.augment_batch(images, index, padding, flip, MEAN, STD, *stream)
    assert got.dtype == np.float32
    assert got.transpose(0, 2, 3, 1).flags.c_contiguous
    close(got, one_by_one(images, index, padding, flip, stream), 1e-6)


def test_both_dialects_give_the_same_bits_for_any_index_and_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 2), dtype=np.uint8)
    mean, std = MEAN[:2], STD[:2]
    for index in (np.arange(6)[::2], np.empty(0, dtype=np.int64)):
        for images_ in (images, images[:, ::-1]):
            arguments = images_, index, 2, 0.5, mean, std, 1, 2, 2
            np.testing.assert_array_equal(cpu.augment_batch(*arguments), plain.augment_batch(*arguments))


def test_offsets_and_flips_follow_their_odds() -> None:
    """One white pixel in the middle shows where the crop began: 5 x 5 offsets equally often, half of them mirrored."""
    images = np.zeros((1, 9, 10, 1), dtype=np.uint8)
    images[0, 4, 4, 0] = 255  # left of the middle: mirrored crops show it at columns 3 ... 7, others at 2 ... 6
    count = 20_000
    zero, one = np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)
    batch = cpu.augment_batch(images, np.zeros(count, dtype=np.int64), 2, 0.25, zero, one, 5, 6, 2)
    _, _, rows, columns = np.nonzero(batch)
    assert len(rows) == count
    for row in range(2, 7):
        assert abs(np.count_nonzero(rows == row) - count / 5) <= 4 * np.sqrt(count * 0.2 * 0.8)
    mirrored = np.count_nonzero(columns == 7)  # only a mirrored crop can put it there
    assert abs(mirrored - count * 0.25 / 5) <= 4 * np.sqrt(count * 0.05 * 0.95)
