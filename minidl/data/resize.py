"""Windows of whole batches, each image with a window of its own, brought to one size."""

from __future__ import annotations

import numpy as np

from minidl.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["resized_crop"]


def resized_crop(
    images: np.ndarray,
    top: np.ndarray,
    left: np.ndarray,
    height: np.ndarray,
    width: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """The window of every image that begins at (top, left) and is height x width, brought to ``size`` (H', W').

    images (N, H, W, C) uint8; top, left, height, width (N,) integers, windows inside the image. Returns (N, H', W', C)
    uint8. Bilinear between the middles of the pixels: row i of the result lies at (i + 0.5) * height / H' - 0.5 of the
    window, whose border is continued outwards. As torchvision's ``resized_crop(antialias=False)``; where a window is
    no larger than ``size``, antialiasing would change nothing. Raises ArgumentError for windows outside the image.
    """
    if images.dtype != np.uint8:
        raise DTypeError("resized_crop", expected="images as uint8", got=str(images.dtype))
    if images.ndim != 4:
        raise ShapeError("resized_crop", expected="images (N, H, W, C)", got=str(images.shape))
    windows = [np.asarray(values, np.int64) for values in (top, left, height, width)]
    if any(values.shape != images.shape[:1] for values in windows):
        shapes = " ".join(str(values.shape) for values in windows)
        raise ShapeError("resized_crop", expected=f"a window for each of {len(images)} images", got=shapes)
    rows, row_weight = _places("height", windows[0], windows[2], images.shape[1], size[0])
    columns, column_weight = _places("width", windows[1], windows[3], images.shape[2], size[1])
    n = np.arange(len(images))[:, None]
    # Columns first, for both rows that a result lies between; then between the rows.
    between_rows = []
    for row in rows:
        lines = images[n, row]  # (N, H', W, C)
        first = np.take_along_axis(lines, columns[0][:, None, :, None], axis=2)  # (N, H', W', C)
        second = np.take_along_axis(lines, columns[1][:, None, :, None], axis=2)
        weight = column_weight[:, None, :, None]  # (N, W') -> (N, 1, W', 1)
        between_rows.append(first * (1 - weight) + second * weight)
    weight = row_weight[:, :, None, None]  # (N, H') -> (N, H', 1, 1)
    return np.rint(between_rows[0] * (1 - weight) + between_rows[1] * weight).astype(np.uint8)


def _places(
    axis: str, start: np.ndarray, length: np.ndarray, available: int, size: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The two pixels (N, size) that every result lies between, and the weight (N, size) of the second."""
    if size < 1:
        raise ArgumentError("resized_crop", expected=f"a {axis} of at least 1", got=str(size))
    if np.any((start < 0) | (length < 1) | (start + length > available)):
        raise ArgumentError("resized_crop", expected=f"windows inside the {axis} of {available}", got="one outside")
    scale = length.astype(np.float32) / np.float32(size)
    place = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * scale[:, None] - np.float32(0.5)
    place = np.maximum(place, 0)  # the first pixel's outer half is continued outwards
    first = place.astype(np.int64)
    weight = place - first.astype(np.float32)
    second = np.minimum(first + 1, length[:, None] - 1)
    return (start[:, None] + first, start[:, None] + second), weight
