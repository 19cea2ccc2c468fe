"""CIFAR-10 and MNIST themselves, against their published checksums and figures."""

from __future__ import annotations

import hashlib

import numpy as np

from data.real import DATA_DIR
from minidl.data import cifar10, mnist


def test_cifar10_has_its_published_statistics() -> None:
    data = cifar10(DATA_DIR)
    assert data.x_train.shape == (50000, 32, 32, 3)
    assert data.x_test.shape == (10000, 32, 32, 3)
    assert data.x_train.dtype == np.uint8
    assert data.y_train.dtype == np.int64
    np.testing.assert_allclose(data.mean, (0.49139968, 0.48215841, 0.44653091), atol=2e-8)
    np.testing.assert_allclose(data.std, (0.24703223, 0.24348513, 0.26158784), atol=2e-8)
    np.testing.assert_array_equal(np.bincount(data.y_train), [5000] * 10)
    np.testing.assert_array_equal(np.bincount(data.y_test), [1000] * 10)


def test_mnist_has_its_published_checksums() -> None:
    data = mnist(DATA_DIR)
    assert data.x_train.shape == (60000, 28, 28, 1)
    header = {
        60000: bytes.fromhex("00000803 0000ea60 0000001c 0000001c"),
        10000: bytes.fromhex("00000803 00002710 0000001c 0000001c"),
    }

    def md5(images: np.ndarray) -> set[str]:
        # With and without the header of the file: the published sums are of one of the two.
        return {hashlib.md5(start + images.tobytes()).hexdigest() for start in (b"", header[len(images)])}

    assert "6bbc9ace898e44ae57da46a324031adb" in md5(data.x_train)
    assert "2646ac647ad5339dbf082846283269ea" in md5(data.x_test)
    np.testing.assert_allclose((data.mean[0], data.std[0]), (0.1307, 0.3081), atol=5e-5)
