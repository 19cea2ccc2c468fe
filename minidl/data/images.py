"""A set of images in memory: the record of a whole data set, and the dataset that makes batches of one half of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.backend.arrays import device_of, on_device_of, to_device
from minidl.backend.device import Device
from minidl.backend.random import AUGMENTATION, Stream, default_generator
from minidl.data.augmentation import Augmentation, make_batch
from minidl.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["ImageData", "ImageDataset", "channel_statistics"]

_NONE = Augmentation()


@dataclass(frozen=True)
class ImageData:
    """A data set of images as it lies in memory.

    ``x_train``, ``x_test``: (N, H, W, C) uint8, C = 1 for grey and 3 for RGB. ``y_train``, ``y_test``: (N,) int64
    class numbers. ``classes``: the name of each class. ``mean``, ``std``: of every channel over all pixels of the
    training set, pixels scaled to [0, 1]. To normalise by other figures: ``dataclasses.replace(data, mean=...)``.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def train_set(self, augmentation: Augmentation = _NONE) -> ImageDataset:
        """The training images as a dataset for ``DataLoader``, augmented as described and normalised."""
        return ImageDataset(self.x_train, self.y_train, self.mean, self.std, augmentation)

    def test_set(self) -> ImageDataset:
        """The test images as a dataset for ``DataLoader``, normalised."""
        return ImageDataset(self.x_test, self.y_test, self.mean, self.std)


class ImageDataset:
    """Images that stay uint8 until a batch is made of them: gathered, augmented and normalised in one kernel.

    images (M, H, W, C) uint8; labels (M,) integers; mean and std (C,), defaults 0 and 1: pixels in [0, 1].
    ``dataset[i]`` is ``(image (C, H, W) float32, label)``; ``batch`` is what ``DataLoader`` calls.
    Raises DTypeError, ShapeError or ArgumentError for arrays that are no such set.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        augmentation: Augmentation = _NONE,
    ) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        if images.dtype != np.uint8:
            raise DTypeError("ImageDataset", expected="images as uint8", got=str(images.dtype))
        if images.ndim != 4:
            raise ShapeError("ImageDataset", expected="images as (N, H, W, C)", got=str(images.shape))
        if not np.issubdtype(labels.dtype, np.integer):
            raise DTypeError("ImageDataset", expected="labels as integers", got=str(labels.dtype))
        if labels.shape != images.shape[:1]:
            raise ShapeError("ImageDataset", expected=f"labels as (N,) = {images.shape[:1]}", got=str(labels.shape))
        channels = images.shape[3]
        self.images = np.ascontiguousarray(images)
        self.labels = labels.astype(np.int64, copy=False)
        self.mean = _per_channel("mean", [0.0] * channels if mean is None else mean, channels)
        self.std = _per_channel("std", [1.0] * channels if std is None else std, channels)
        if not np.all(self.std > 0):
            raise ArgumentError("ImageDataset", expected="every std above 0", got=str(self.std.tolist()))
        self.augmentation = augmentation

    @property
    def device(self) -> Device:
        """Where the images lie, and batches are made."""
        return device_of(self.images)

    def to(self, device: str | Device) -> ImageDataset:
        """The dataset with all of its images on a device (CIFAR-10: 184 MB): itself if they lie there, else a copy.

        On a GPU a batch is made by one kernel, and only the order of an epoch is copied from the host. Raises
        DeviceError where there is no such GPU, ArgumentError for an augmentation other than crop and flip.
        """
        place = Device(device)
        if place == self.device:
            return self
        if place.type == "gpu" and not self.augmentation.one_kernel:
            raise ArgumentError(
                "ImageDataset.to",
                expected="crop with zeros and flip as the only augmentation on a GPU",
                got=str(self.augmentation),
                hint="Leave the dataset on the CPU; its batches can be moved.",
            )
        moved = copy.copy(self)
        for name in ("images", "labels", "mean", "std"):
            setattr(moved, name, to_device(getattr(self, name), place))
        return moved

    def whole_batches(self) -> ImageDataset:
        """Itself: batches of it are made by ``batch``, not item by item."""
        return self

    @property
    def random(self) -> bool:
        """Whether a batch depends on random numbers."""
        return self.augmentation.random

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        position = range(len(self))[i]  # IndexError outside, negative ones from the end
        stream = default_generator().stream(AUGMENTATION) if self.random else None
        images, labels = self.batch(np.array([position]), stream)
        return Tensor(images[0]), int(labels[0])

    def batch(self, index: Any, stream: Stream | None = None) -> list[Any]:
        """The images and labels at ``index`` (N,) int64: [(N, C, H, W) float32, (N,) int64].

        ``stream`` numbers the random draws; needed only where ``random`` is true. Raises IndexError outside the set.
        """
        if isinstance(index, np.ndarray) and index.size and not 0 <= index.min() <= index.max() < len(self):
            raise IndexError(f"ImageDataset: images 0 to {len(self) - 1}, got {index.min()} to {index.max()}")
        index = to_device(index, self.device)
        with on_device_of(index):
            images = make_batch(self.images, index, self.augmentation, self.mean, self.std, stream)
            return [images, self.labels[index]]


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel, pixels scaled to [0, 1].

    ``mean = sum(x) / n``, ``std = sqrt(sum(x**2) / n - mean**2)`` over N, H and W; images (N, H, W, C) uint8.
    Exact until the last division: the sums are integers. Memory: a thousand images at a time.
    """
    channels = images.shape[-1]
    # One running sum for each place of the image, channels apart only at the end: long rows add up fastest.
    rows = images.reshape(len(images), -1)  # (N, H, W, C) -> (N, H * W * C)
    total = np.zeros(rows.shape[1], np.uint64)
    squares = np.zeros(rows.shape[1], np.uint64)
    for start in range(0, len(rows), 1000):
        chunk = rows[start : start + 1000]
        total += chunk.sum(axis=0, dtype=np.uint32)  # at most 1000 * 255**2 < 2**32
        squares += np.square(chunk, dtype=np.uint32).sum(axis=0, dtype=np.uint32)
    count = rows.size // channels
    mean = total.reshape(-1, channels).sum(axis=0) / (count * 255)  # (H * W * C,) -> (H * W, C) -> (C,)
    mean_square = squares.reshape(-1, channels).sum(axis=0) / (count * 255**2)
    return tuple(mean.tolist()), tuple(np.sqrt(mean_square - mean**2).tolist())


def _per_channel(name: str, values: Any, channels: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float32)
    if array.shape != (channels,):
        raise ShapeError(
            "ImageDataset", expected=f"{name} with one value for each of {channels} channels", got=str(array.shape)
        )
    return array
