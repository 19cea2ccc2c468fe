"""``minidl.data.datasets`` against torchvision.datasets on the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torchvision import transforms as reference

from data.test_files import arrays, write_idx, write_npz
from minidl.data import DataError, DataLoader
from minidl.data import transforms as T
from minidl.data.base import whole_batches
from minidl.data.datasets import CIFAR10, MNIST


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIDL_DATA", raising=False)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_mnist_in_loaders(tmp_path: Path, train: bool, whole: bool) -> None:
    write_idx(tmp_path, arrays())
    chain: list[Any] = [T.ToTensor(), T.Normalize((0.5,), (0.25,))]
    if not whole:
        chain.append(lambda image: image)  # unknown to the fast path: item by item
    ours = MNIST(tmp_path, train=train, transform=T.Compose(chain))
    assert (whole_batches(ours) is not None) is whole
    their_chain = reference.Compose([reference.ToTensor(), reference.Normalize((0.5,), (0.25,))])
    theirs = torchvision.datasets.MNIST(str(tmp_path), train=train, transform=their_chain)
    assert len(ours) == len(theirs)
    assert ours[-1][1] == theirs[len(theirs) - 1][1]
    batches = zip(DataLoader(ours, 5), torch.utils.data.DataLoader(theirs, 5), strict=True)
    for (x, y), (their_x, their_y) in batches:
        np.testing.assert_allclose(x.numpy(), their_x.numpy(), rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(y.numpy(), their_y.numpy())
        assert y.dtype == np.int64


def test_items_without_and_with_transforms(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 32, 32, 3), np.uint8)
    labels = np.array([[9], [0], [4]])
    write_npz(tmp_path, "cifar10.npz", x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    plain = CIFAR10(tmp_path)
    image, label = plain[2]
    np.testing.assert_array_equal(image, images[2])
    assert (label, type(label)) == (4, int)
    np.testing.assert_array_equal(plain.data, images)
    np.testing.assert_array_equal(plain.targets, [9, 0, 4])
    assert plain.classes[9] == "truck"
    assert plain.class_to_idx["cat"] == 3
    assert len(CIFAR10(tmp_path, train=False)) == 1
    with pytest.raises(IndexError):
        plain[3]

    changed = CIFAR10(tmp_path, transform=T.ToTensor(), target_transform=lambda label: -label)
    assert [y.numpy().tolist() for _, y in DataLoader(changed, 2)] == [[-9, 0], [-4]]
    changed.target_transform = None  # replaced later, as torch allows: the loader looks at each epoch
    assert [y.numpy().tolist() for _, y in DataLoader(changed, 2)] == [[9, 0], [4]]


def test_damaged_files_name_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "cifar10.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"^cifar10: .*cifar10\.npz"):
        CIFAR10(tmp_path)
