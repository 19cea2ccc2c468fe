"""The rows that train nothing: statistics of the data, and pictures made from the weights of other rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.data import ImageData
from reports.place import Place

__all__ = ["training_set_statistics"]


def training_set_statistics(place: Place, data: dict[str, ImageData]) -> dict[str, Any]:
    """Of each channel of the training images, pixels in [0, 1]: the mean over all pixels, and the mean over the images
    of the sample standard deviation (n - 1) of each image."""
    images = data["cifar10"].x_train
    pixels = images.reshape(len(images), -1, images.shape[3])  # (N, H, W, C) -> (N, H * W, C)
    deviations = np.concatenate([chunk.std(axis=1, ddof=1) for chunk in np.array_split(pixels / np.float64(255), 50)])
    return {
        "mean": [round(value, 6) for value in data["cifar10"].mean],
        "std_of_images": [round(value, 6) for value in deviations.mean(axis=0).tolist()],
    }
