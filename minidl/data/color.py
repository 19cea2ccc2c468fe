"""Brightness, contrast, saturation, hue and sharpness of whole batches, each image by a factor of its own.

Images are (N, H, W, C) uint8, C = 1 (grey) or 3 (RGB); factors are (N,). Results are new arrays of the same kind. The
functions are torchvision's (``transforms.functional.adjust_...`` on uint8 tensors), rounding included.
"""

from __future__ import annotations

import numpy as np

from minidl.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["adjust_brightness", "adjust_contrast", "adjust_hue", "adjust_saturation", "adjust_sharpness"]

# How bright red, green and blue look: ITU-R BT.601, as Pillow and torchvision round it.
_LUMA = np.array([0.2989, 0.587, 0.114], np.float32)
_NOT_NEGATIVE = (0.0, np.inf)


def adjust_brightness(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """``factor * image``, clipped to [0, 255]: 0 is black, 1 the image itself, 2 twice as bright."""
    factors = _checked("adjust_brightness", images, factor, _NOT_NEGATIVE)
    return _to_uint8(images * factors)


def adjust_contrast(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """``factor * image + (1 - factor) * m`` with m the mean brightness of the image: 0 is uniform grey."""
    factors = _checked("adjust_contrast", images, factor, _NOT_NEGATIVE)
    mean = _grey(images).mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    return _blend(images, mean, factors)


def adjust_saturation(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """``factor * image + (1 - factor) * grey(image)``: 0 is grey. Grey images stay as they are."""
    factors = _checked("adjust_saturation", images, factor, _NOT_NEGATIVE)
    return images.copy() if images.shape[3] == 1 else _blend(images, _grey(images), factors)


def adjust_sharpness(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """``factor * image + (1 - factor) * smooth(image)``: 0 is blurred, 1 the image itself, 2 sharper.

    smooth is the 3 x 3 mean in which the middle counts five times; pixels at the border stay as they are.
    """
    factors = _checked("adjust_sharpness", images, factor, _NOT_NEGATIVE)
    if min(images.shape[1:3]) <= 2:
        return images.copy()
    whole = images.astype(np.int32)
    rows = whole[:, :-2] + whole[:, 1:-1] + whole[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * whole[:, 1:-1, 1:-1]
    smooth = images.astype(np.float32)
    smooth[:, 1:-1, 1:-1] = (2 * total + 13) // 26  # total / 13, rounded; 13 is odd, so there are no halves
    return _blend(images, smooth, factors)


def adjust_hue(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The hue turned by ``factor`` of a full circle, in [-0.5, 0.5]. Grey images stay as they are.

    Hue, saturation and value after Smith, "Color Gamut Transform Pairs" (1978): hue is the place on the hexagon red,
    yellow, green, cyan, blue, magenta; value the largest of the three; saturation 1 - smallest / largest.
    """
    factors = _checked("adjust_hue", images, factor, (-0.5, 0.5))
    if images.shape[3] == 1:
        return images.copy()
    rgb = images.astype(np.float32) / np.float32(255)
    value, least = rgb.max(axis=3), rgb.min(axis=3)  # (N, H, W)
    spread = value - least
    divisor = np.where(spread == 0, np.float32(1), spread)
    red, green, blue = ((value - rgb[..., c]) / divisor for c in range(3))  # 0 for the largest, 1 for the smallest
    sector = np.where(
        rgb[..., 0] == value,
        blue - green,
        np.where(rgb[..., 1] == value, np.float32(2) + red - blue, np.float32(4) + green - red),
    )
    hue = np.fmod(sector / np.float32(6) + np.float32(1), np.float32(1))
    saturation = spread / np.where(spread == 0, np.float32(1), value)
    hue = (hue + factors[..., 0]) % np.float32(1)

    # Back: around the hexagon one of the three rises or falls, one is the largest, one the smallest.
    place = hue * np.float32(6)
    side = np.floor(place).astype(np.int64)
    along = place - side
    low = value * (1 - saturation)
    falling = value * (1 - saturation * along)
    rising = value * (1 - saturation * (1 - along))
    choices = np.stack([value, low, falling, rising])  # (4, N, H, W)
    order = np.array([[0, 2, 1, 1, 3, 0], [3, 0, 0, 2, 1, 1], [1, 1, 3, 0, 0, 2]])  # channel, side -> choice
    turned = np.take_along_axis(choices, order[:, side % 6], axis=0)  # (3, N, H, W)
    scaled = np.clip(turned, 0, 1) * np.float32(255.999)  # torchvision's way back to whole numbers
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(1, 2, 3, 0))  # (C, N, H, W) -> (N, H, W, C)


def _checked(who: str, images: np.ndarray, factor: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """The factors as (N, 1, 1, 1) float32."""
    if images.dtype != np.uint8:
        raise DTypeError(who, expected="images as uint8", got=str(images.dtype))
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ShapeError(who, expected="images (N, H, W, C) with C = 1 or 3", got=str(images.shape))
    factors = np.asarray(factor, np.float32)
    if factors.shape != images.shape[:1]:
        raise ShapeError(who, expected=f"a factor for each of {len(images)} images", got=str(factors.shape))
    if not np.all((factors >= bounds[0]) & (factors <= bounds[1])):
        raise ArgumentError(who, expected=f"factors from {bounds[0]:g} to {bounds[1]:g}", got=str(factors))
    return factors.reshape(-1, 1, 1, 1)  # (N,) -> (N, 1, 1, 1)


def _grey(images: np.ndarray) -> np.ndarray:
    """How bright each pixel looks, rounded down: (N, H, W, C) uint8 -> (N, H, W, 1) float32."""
    if images.shape[3] == 1:
        return images.astype(np.float32)
    return np.floor(images[..., :1] * _LUMA[0] + images[..., 1:2] * _LUMA[1] + images[..., 2:] * _LUMA[2])


def _blend(images: np.ndarray, other: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return _to_uint8(factors * images + (1 - factors) * other)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Clipped to [0, 255] and rounded down."""
    return np.clip(values, 0, 255).astype(np.uint8)
