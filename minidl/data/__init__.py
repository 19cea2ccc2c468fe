"""Data sets, augmentation of whole batches, and the loader."""

from minidl.data import datasets, transforms
from minidl.data.archive import DataError
from minidl.data.augmentation import Augmentation, Jitter, ResizedCrop
from minidl.data.base import Dataset, Subset, TensorDataset, random_split
from minidl.data.datasets import cifar10, is_available, mnist
from minidl.data.drawing import shapes
from minidl.data.images import ImageData, ImageDataset
from minidl.data.loader import DataLoader, default_collate

__all__ = [
    "Augmentation",
    "DataError",
    "DataLoader",
    "Dataset",
    "ImageData",
    "ImageDataset",
    "Jitter",
    "ResizedCrop",
    "Subset",
    "TensorDataset",
    "cifar10",
    "datasets",
    "default_collate",
    "is_available",
    "mnist",
    "random_split",
    "shapes",
    "transforms",
]
