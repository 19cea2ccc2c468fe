"""The images of a row as loaders: split, augmented and normalised as its record says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

import minidl
from minidl.data import DataLoader, ImageData, ImageDataset, Subset, cifar10, mnist, random_split
from reports.record import Images, Row

__all__ = ["Loaders", "load_images", "make_loaders", "plain_loader"]

EVALUATION_BATCH = 250


@dataclass(frozen=True)
class Loaders:
    """The training loader and, by name, those of the parts that judge the network."""

    data: ImageData
    train: DataLoader
    evaluation: dict[str, DataLoader]


def load_images(name: str, data_dir: str | None) -> ImageData:
    """CIFAR-10 or MNIST, whole."""
    return {"cifar10": cifar10, "mnist": mnist}[name](data_dir)


def make_loaders(row: Row, data: ImageData, drop_last: bool = False) -> Loaders:
    """What ``row`` trains on and is judged on: "validation" where it has one, "test" (or its named parts).

    ``drop_last`` leaves out the smaller last batch of an epoch.
    """
    data = scaled(row.images, data)
    training, validation = _validation_split(row.images, data)
    train_set = Subset(data.train_set(row.augmentation), training)
    parts: dict[str, Subset | ImageDataset] = {}
    if len(validation):
        plain = ImageDataset(data.x_train, data.y_train, data.mean, data.std, row.evaluation_augmentation)
        parts["validation"] = Subset(plain, validation)
    test_set = ImageDataset(data.x_test, data.y_test, data.mean, data.std, row.evaluation_augmentation)
    if row.images.test_parts:
        sizes = list(row.images.test_parts.values())
        subsets = random_split(test_set, sizes, minidl.Generator(row.images.split_seed))
        _check_disjoint([subset.indices for subset in subsets], len(test_set))
        parts.update(zip(row.images.test_parts, subsets, strict=True))
    else:
        parts["test"] = test_set
    evaluation = {name: DataLoader(part, EVALUATION_BATCH) for name, part in parts.items()}
    for name in row.also_plain:
        plain = ImageDataset(data.x_test, data.y_test, data.mean, data.std)
        evaluation[f"{name}_plain"] = DataLoader(plain, EVALUATION_BATCH)
    train = DataLoader(train_set, row.batch_size, shuffle=True, drop_last=drop_last)
    return Loaders(data, train, evaluation)


def plain_loader(row: Row, data: ImageData) -> DataLoader:
    """All test images in their order, normalised as ``row`` has them, without augmentation."""
    return DataLoader(scaled(row.images, data).test_set(), EVALUATION_BATCH)


def scaled(images: Images, data: ImageData) -> ImageData:
    """The data with the mean and standard deviation that the record gives, where it gives any."""
    if images.mean is None or images.std is None:
        return data
    return replace(data, mean=images.mean, std=images.std)


def _validation_split(images: Images, data: ImageData) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the training and of the validation images, in order, without a common one."""
    size = len(data.y_train)
    sizes = [size - images.validation, images.validation]
    training, validation = random_split(data.train_set(), sizes, minidl.Generator(images.split_seed))
    _check_disjoint([training.indices, validation.indices], size)
    return training.indices, validation.indices


def _check_disjoint(parts: list[np.ndarray], size: int) -> None:
    """Raises RuntimeError unless every image from 0 to ``size`` - 1 lies in exactly one of the parts."""
    together = np.concatenate(parts)
    if len(together) != size or not np.array_equal(np.sort(together), np.arange(size)):
        raise RuntimeError(f"the parts of {size} images overlap, or leave some out")
