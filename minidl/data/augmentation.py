"""Augmentation of whole batches, described by a record: random crop and flip in one kernel, and before these, where
they are asked for, resized crops and changes of colour and sharpness.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minidl import kernels
from minidl.backend.random import AUGMENTATION, Stream
from minidl.data.color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, adjust_sharpness
from minidl.data.resize import resized_crop
from minidl.errors import ArgumentError

__all__ = ["Augmentation", "Jitter", "ResizedCrop", "jitter", "make_batch", "random_windows"]

_UNUSED = Stream(0, 0, AUGMENTATION)

# The last words of the Philox counters, beside AUGMENTATION for crop and flip: no two draws share bits.
_WINDOW_SITE, _JITTER_SITE = AUGMENTATION + 256, AUGMENTATION + 512
_TRIES = 10


@dataclass(frozen=True)
class ResizedCrop:
    """A window of random area and shape at a random place, brought back to the size of the image.

    ``scale``: the window's share of the image's area, uniform between the two; ``ratio``: width / height, its logarithm
    uniform between those of the two. A window that does not fit is drawn anew, at most ten times; then the largest one
    in the middle whose ratio is allowed is taken. As torchvision's RandomResizedCrop with the same defaults.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ArgumentError("ResizedCrop", expected="scale as (least, most) above 0", got=repr(self.scale))
        if len(self.ratio) != 2 or not 0 < self.ratio[0] <= self.ratio[1]:
            raise ArgumentError("ResizedCrop", expected="ratio as (least, most) above 0", got=repr(self.ratio))


@dataclass(frozen=True)
class Jitter:
    """Random changes of colour and sharpness, by factors drawn for every image.

    ``brightness``, ``contrast``, ``saturation``, ``sharpness``: factors uniform in [max(0, 1 - x), 1 + x]; ``hue``: a
    turn uniform in [-x, x] of a full circle, x at most 0.5. 0 leaves the image as it is. The order in which they are
    done is drawn for every batch. As torchvision's ColorJitter, with sharpness added.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    sharpness: float = 0.0

    def __post_init__(self) -> None:
        for name, (_, most) in _CHANGES.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise ArgumentError("Jitter", expected=f"{name} from 0 to {most:g}", got=repr(value))


# What a Jitter can change: the function, and the largest amount.
_CHANGES: dict[str, tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], float]] = {
    "brightness": (adjust_brightness, math.inf),
    "contrast": (adjust_contrast, math.inf),
    "saturation": (adjust_saturation, math.inf),
    "hue": (adjust_hue, 0.5),
    "sharpness": (adjust_sharpness, math.inf),
}


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to every training image before it is normalised.

    ``crop_padding``: pixels put around the image before a crop back to its size at a random place (0: no crop); zeros,
    or with ``padding_mode`` "reflect" the image mirrored at its border. ``flip``: probability in [0, 1] of a mirror
    image, left to right. ``resized_crop`` and ``jitter`` come before these, in this order. Raises ArgumentError for a
    negative padding, another mode or a probability outside [0, 1].
    """

    crop_padding: int = 0
    flip: float = 0.0
    resized_crop: ResizedCrop | None = None
    jitter: Jitter | None = None
    padding_mode: str = "constant"

    def __post_init__(self) -> None:
        padding = self.crop_padding
        if not isinstance(padding, (int, np.integer)) or isinstance(padding, bool) or padding < 0:
            raise ArgumentError("Augmentation", expected="crop_padding as an integer of at least 0", got=repr(padding))
        if not 0 <= self.flip <= 1:
            raise ArgumentError("Augmentation", expected="flip as a probability in [0, 1]", got=repr(self.flip))
        if self.padding_mode not in ("constant", "reflect"):
            raise ArgumentError(
                "Augmentation", expected='padding_mode "constant" or "reflect"', got=repr(self.padding_mode)
            )

    @property
    def one_kernel(self) -> bool:
        """Whether nothing but crop and flip is asked for, which the kernel that makes a batch does along the way."""
        plain_crop = not self.crop_padding or self.padding_mode == "constant"
        return self.resized_crop is None and self.jitter is None and plain_crop

    @property
    def random(self) -> bool:
        """Whether anything is drawn at all."""
        return self.crop_padding > 0 or self.flip > 0 or self.resized_crop is not None or self.jitter is not None


def make_batch(
    images: np.ndarray,
    index: np.ndarray,
    augmentation: Augmentation,
    mean: np.ndarray,
    std: np.ndarray,
    stream: Stream | None = None,
) -> np.ndarray:
    """The chosen images, augmented and normalised: ``(pixel / 255 - mean) / std`` after all that is random.

    images (M, H, W, C) uint8; index (N,) int64 with every entry in [0, M), not checked here; mean and std (C,)
    float32 in units of a pixel scaled to [0, 1]. Returns (N, C, H, W) float32. ``stream`` numbers the random
    draws of this batch and is needed only where the augmentation is random; same stream, same batch.
    As torchvision's RandomCrop(size, padding), RandomHorizontalFlip(p), ToTensor() and Normalize(mean, std).
    """
    if stream is None:
        if augmentation.random:
            raise ArgumentError("make_batch", expected="a stream for a random augmentation", got="None")
        stream = _UNUSED
    if augmentation.resized_crop is not None or augmentation.jitter is not None:
        images, index = images[index], np.arange(len(index))
        if augmentation.resized_crop is not None:
            size = images.shape[1:3]
            images = resized_crop(images, *random_windows(augmentation.resized_crop, len(images), size, stream), size)
        if augmentation.jitter is not None:
            images = jitter(images, augmentation.jitter, stream)
    padding = augmentation.crop_padding
    if padding and augmentation.padding_mode == "reflect":
        images, index, padding = _reflected_crop(images[index], padding, stream), np.arange(len(index)), 0
    return kernels.augment_batch(
        images, index, padding, augmentation.flip, mean, std, stream.seed, stream.step, stream.site
    )


def random_windows(
    crop: ResizedCrop, count: int, size: tuple[int, int], stream: Stream
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Top, left, height and width, each (count,) int64, of a random window in ``count`` images of ``size`` (H, W).

    Image n tries with blocks 10 n ... 10 n + 9 of a Philox stream of its own: word 0 -> area, word 1 -> ratio, word 2
    -> row, word 3 -> column; the first try that fits counts.
    """
    image_height, image_width = size
    words = kernels.random_words(stream.seed, stream.step, stream.site + _WINDOW_SITE, 4 * _TRIES * count)
    fraction = words.reshape(count, _TRIES, 4) / 2.0**32  # in [0, 1)
    area = image_height * image_width * _between(crop.scale[0], crop.scale[1], fraction[..., 0])
    ratio = np.exp(_between(math.log(crop.ratio[0]), math.log(crop.ratio[1]), fraction[..., 1]))
    width, height = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))  # (count, tries)
    fits = (width >= 1) & (width <= image_width) & (height >= 1) & (height <= image_height)
    chosen = np.arange(count), fits.argmax(axis=1)  # the first that fits; looked at only where there is one
    middle_height, middle_width = _largest_window(crop.ratio, image_height, image_width)
    some = fits.any(axis=1)
    height, width = np.where(some, height[chosen], middle_height), np.where(some, width[chosen], middle_width)
    free_rows, free_columns = image_height - height, image_width - width
    top = np.where(some, np.floor(fraction[..., 2][chosen] * (free_rows + 1)), free_rows // 2)
    left = np.where(some, np.floor(fraction[..., 3][chosen] * (free_columns + 1)), free_columns // 2)
    return top.astype(np.int64), left.astype(np.int64), height.astype(np.int64), width.astype(np.int64)


def jitter(images: np.ndarray, jitter: Jitter, stream: Stream) -> np.ndarray:
    """Images (N, H, W, C) uint8 changed as ``jitter`` describes; a new array where anything is changed.

    Image n draws its five factors, in the order of the record's fields, from blocks 2 n + 2 and 2 n + 3 of a Philox
    stream of its own; blocks 0 and 1 give the order in which the changes are done.
    """
    words = kernels.random_words(stream.seed, stream.step, stream.site + _JITTER_SITE, 8 * (len(images) + 1))
    fraction = words.reshape(-1, 8) / 2.0**32  # in [0, 1)
    names = list(_CHANGES)
    for number in np.argsort(fraction[0, : len(names)], kind="stable"):
        name = names[number]
        amount = getattr(jitter, name)
        if amount > 0:
            low, high = (-amount, amount) if name == "hue" else (max(0.0, 1 - amount), 1 + amount)
            images = _CHANGES[name][0](images, _between(low, high, fraction[1:, number]))
    return images


def _reflected_crop(images: np.ndarray, padding: int, stream: Stream) -> np.ndarray:
    """A window of the images' size at a random place of the images continued by reflection; the draws are those of the
    kernel, which pads with zeros."""
    count, height, width, _ = images.shape
    words = kernels.random_words(stream.seed, stream.step, stream.site, 4 * count).reshape(count, 4).astype(np.uint64)
    top, left = ((words[:, i] * np.uint64(2 * padding + 1) >> np.uint64(32)).astype(np.int64) for i in (0, 1))
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = np.pad(images, sides, mode="reflect")  # (N, H + 2 padding, W + 2 padding, C)
    rows, columns = top[:, None] + np.arange(height), left[:, None] + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _between(low: float, high: float, fraction: np.ndarray) -> np.ndarray:
    return low + (high - low) * fraction


def _largest_window(ratio: tuple[float, float], height: int, width: int) -> tuple[int, int]:
    """Height and width of the largest window whose ratio is allowed."""
    shape = width / height
    if shape < min(ratio):
        return round(width / min(ratio)), width
    if shape > max(ratio):
        return height, round(height * max(ratio))
    return height, width
