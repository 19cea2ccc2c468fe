"""Image transforms under torchvision's names, and how the loader recognises those it can do for a whole batch.

An image is a NumPy array (H, W) or (H, W, C), a PIL image, or a Tensor (..., H, W), as ``ToTensor`` makes it. Random
transforms draw from the thread's generator (``minidl.manual_seed``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.backend.random import AUGMENTATION, default_generator
from minidl.data.augmentation import Augmentation, ResizedCrop, random_windows
from minidl.data.color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, adjust_sharpness
from minidl.data.resize import resized_crop
from minidl.errors import ArgumentError, DTypeError, ShapeError

__all__ = [
    "ColorJitter",
    "Compose",
    "Normalize",
    "RandomAdjustSharpness",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "ToTensor",
]


class Compose:
    """One transform after the other, the first one first."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


class ToTensor:
    """An image (H, W, C) or (H, W) as a Tensor (C, H, W): uint8 becomes float32 in [0, 1], ``x / 255``.

    Other types keep their type and values, as in torchvision.
    """

    def __call__(self, image: Any) -> Tensor:
        if isinstance(image, Tensor):
            raise DTypeError("ToTensor", expected="an array or a PIL image", got="a Tensor")
        array = np.asarray(image)
        if array.ndim == 2:
            array = array[:, :, None]  # (H, W) -> (H, W, 1)
        if array.ndim != 3:
            raise ShapeError("ToTensor", expected="an image (H, W) or (H, W, C)", got=str(array.shape))
        array = np.ascontiguousarray(array.transpose(2, 0, 1))  # (H, W, C) -> (C, H, W)
        return Tensor(array.astype(np.float32) / np.float32(255) if array.dtype == np.uint8 else array)

    def __repr__(self) -> str:
        return "ToTensor()"


class Normalize:
    """``(x - mean) / std`` for every channel of a Tensor (..., C, H, W) of floats.

    mean, std: one value for each channel. Raises DTypeError for integers, ShapeError for another number of channels,
    ArgumentError for a std of 0.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        if not np.all(np.asarray(std, np.float64)):
            raise ArgumentError("Normalize", expected="every std different from 0", got=str(std))
        self.mean, self.std = tuple(mean), tuple(std)

    def __call__(self, image: Tensor) -> Tensor:
        if not isinstance(image, Tensor) or not np.issubdtype(image.dtype, np.floating):
            got = str(image.dtype) if hasattr(image, "dtype") else type(image).__name__
            raise DTypeError("Normalize", expected="a Tensor of floats", got=got, hint="Put ToTensor() before it.")
        x = image.numpy()
        mean, std = np.asarray(self.mean, x.dtype), np.asarray(self.std, x.dtype)
        if x.ndim < 3 or any(len(values) not in (1, x.shape[-3]) for values in (mean, std)):
            raise ShapeError(
                "Normalize", expected=f"an image with {len(mean)} channels (C, H, W)", got=str(tuple(x.shape))
            )
        return Tensor((x - mean[:, None, None]) / std[:, None, None])  # (C,) -> (C, 1, 1)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class RandomHorizontalFlip:
    """The mirror image, left to right, with probability p in [0, 1]."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError("RandomHorizontalFlip", expected="a probability in [0, 1]", got=repr(p))
        self.p = p

    def __call__(self, image: Any) -> Any:
        if default_generator().host.random() >= self.p:
            return image
        x, width_axis = _pixels(image)
        return _like(image, np.flip(x, width_axis))

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class RandomCrop:
    """A window of ``size`` at a random place of the image, after ``padding`` pixels of zeros were put around it.

    size: int or (height, width). padding: None, an int for all sides, (left and right, top and bottom) or (left, top,
    right, bottom). Every place is equally likely. Raises ShapeError for an image smaller than the window.
    """

    def __init__(self, size: int | Sequence[int], padding: int | Sequence[int] | None = None) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 1:
            raise ArgumentError("RandomCrop", expected="a size of at least 1", got=repr(size))
        sides = (
            (padding or 0,) * 4
            if padding is None or isinstance(padding, int)
            else tuple(padding) * (2 if len(padding) == 2 else 1)
        )
        if len(sides) != 4 or min(sides) < 0:
            raise ArgumentError(
                "RandomCrop", expected="a padding of one, two or four lengths from 0", got=repr(padding)
            )
        self.size = (int(height), int(width))
        self.padding = sides

    def __call__(self, image: Any) -> Any:
        x, width_axis = _pixels(image)
        left, top, right, bottom = self.padding
        pad = [(0, 0)] * x.ndim
        pad[width_axis - 1], pad[width_axis] = (top, bottom), (left, right)
        x = np.pad(x, pad)
        free = x.shape[width_axis - 1] - self.size[0], x.shape[width_axis] - self.size[1]
        if min(free) < 0:
            raise ShapeError(
                "RandomCrop",
                expected=f"a padded image of at least {self.size}",
                got=str(x.shape),
                hint="Choose a larger padding or a smaller size.",
            )
        row, column = default_generator().host.integers(0, free, endpoint=True)
        window: list[slice] = [slice(None)] * x.ndim
        window[width_axis - 1] = slice(row, row + self.size[0])
        window[width_axis] = slice(column, column + self.size[1])
        return _like(image, x[tuple(window)])

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomResizedCrop:
    """A window of random area and shape at a random place of an image of uint8, brought to ``size``.

    size: int or (height, width); scale, ratio: as ``minidl.data.ResizedCrop`` has them. Bilinear; windows larger than
    ``size`` are not smoothed before (torchvision's ``antialias=False``). Put it before ToTensor().
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 1:
            raise ArgumentError("RandomResizedCrop", expected="a size of at least 1", got=repr(size))
        self.size = (int(height), int(width))
        self.crop = ResizedCrop((scale[0], scale[1]), (ratio[0], ratio[1]))

    def __call__(self, image: Any) -> Any:
        batch = _batch_of_one("RandomResizedCrop", image)
        window = random_windows(self.crop, 1, batch.shape[1:3], default_generator().stream(AUGMENTATION))
        return resized_crop(batch, *window, self.size)[0].reshape(*self.size, *np.shape(image)[2:])

    def __repr__(self) -> str:
        return f"RandomResizedCrop(size={self.size}, scale={self.crop.scale}, ratio={self.crop.ratio})"


class ColorJitter:
    """Brightness, contrast, saturation and hue of an image of uint8 changed by random factors, in a random order.

    Each argument is x for factors uniform in [max(0, 1 - x), 1 + x] (hue: a turn uniform in [-x, x] of a full circle,
    x at most 0.5), or the two bounds. 0 leaves the image as it is. Put it before ToTensor().
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        self.brightness = _bounds("brightness", brightness, 1.0, (0.0, np.inf))
        self.contrast = _bounds("contrast", contrast, 1.0, (0.0, np.inf))
        self.saturation = _bounds("saturation", saturation, 1.0, (0.0, np.inf))
        self.hue = _bounds("hue", hue, 0.0, (-0.5, 0.5))

    def __call__(self, image: Any) -> Any:
        batch, random = _batch_of_one("ColorJitter", image), default_generator().host
        changes = (
            (adjust_brightness, self.brightness),
            (adjust_contrast, self.contrast),
            (adjust_saturation, self.saturation),
            (adjust_hue, self.hue),
        )
        for number in random.permutation(len(changes)):
            change, bounds = changes[number]
            if bounds is not None:
                batch = change(batch, np.array([random.uniform(*bounds)]))
        return batch[0].reshape(np.shape(image))

    def __repr__(self) -> str:
        return (
            f"ColorJitter(brightness={self.brightness}, contrast={self.contrast}, saturation={self.saturation}, "
            f"hue={self.hue})"
        )


class RandomAdjustSharpness:
    """An image of uint8 made sharper (factor above 1) or softer (below 1) with probability p.

    Put it before ToTensor().
    """

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        if not sharpness_factor >= 0:
            raise ArgumentError("RandomAdjustSharpness", expected="a factor of at least 0", got=repr(sharpness_factor))
        if not 0 <= p <= 1:
            raise ArgumentError("RandomAdjustSharpness", expected="a probability in [0, 1]", got=repr(p))
        self.sharpness_factor, self.p = sharpness_factor, p

    def __call__(self, image: Any) -> Any:
        batch = _batch_of_one("RandomAdjustSharpness", image)
        if default_generator().host.random() >= self.p:
            return image
        return adjust_sharpness(batch, np.array([self.sharpness_factor]))[0].reshape(np.shape(image))

    def __repr__(self) -> str:
        return f"RandomAdjustSharpness(sharpness_factor={self.sharpness_factor}, p={self.p})"


def _batch_of_one(who: str, image: Any) -> np.ndarray:
    """The image (H, W) or (H, W, C) of uint8 as a batch (1, H, W, C)."""
    x = None if isinstance(image, Tensor) else np.asarray(image)
    if x is None or x.dtype != np.uint8:
        got = "a Tensor" if x is None else str(x.dtype)
        raise DTypeError(who, expected="an image of uint8", got=got, hint="Put it before ToTensor().")
    if x.ndim not in (2, 3):
        raise ShapeError(who, expected="an image (H, W) or (H, W, C)", got=str(x.shape))
    return x.reshape(1, *x.shape[:2], -1)


def _bounds(
    name: str, value: float | Sequence[float], centre: float, allowed: tuple[float, float]
) -> tuple[float, float] | None:
    """The smallest and the largest factor; None where there is nothing to change."""
    if isinstance(value, (int, float)):
        low, high = max(centre - value, allowed[0]) if centre else -value, centre + value
    else:
        low, high = value
    if not allowed[0] <= low <= high <= allowed[1]:
        expected = f"{name} as a number from 0, or as two bounds from {allowed[0]:g} to {allowed[1]:g}"
        raise ArgumentError("ColorJitter", expected=expected, got=repr(value))
    return None if low == high == centre else (low, high)


def _pixels(image: Any) -> tuple[np.ndarray, int]:
    """The array of an image and the axis of its width, counted from 0; the height is the axis before."""
    if isinstance(image, Tensor):
        x, width_axis = image.numpy(), image.dim() - 1
    else:
        x, width_axis = np.asarray(image), 1
    if x.ndim < 2:
        raise ShapeError("transforms", expected="an image with height and width", got=str(x.shape))
    return x, width_axis


def _like(image: Any, x: np.ndarray) -> Any:
    x = np.ascontiguousarray(x)
    return Tensor(x) if isinstance(image, Tensor) else x


@dataclass(frozen=True)
class Recipe:
    """A chain of transforms as the one kernel understands it; mean and std None: pixels in [0, 1]."""

    augmentation: Augmentation
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def as_recipe(transform: Callable[[Any], Any] | None, image: tuple[int, int, int]) -> Recipe | None:
    """What ``transform`` does to an image (H, W, C), as a Recipe; None where it is anything else.

    Recognised: ToTensor once; before or after it at most one RandomCrop back to (H, W) with equal padding on all
    sides and at most one RandomHorizontalFlip; then Normalize at most once, after which only a flip may follow (a crop
    would pad with zeros that were not normalised).
    """
    steps = transform.transforms if type(transform) is Compose else [transform]
    crop_padding, flip, normalize = None, None, None
    is_tensor = False
    height, width, channels = image
    for step in steps:
        # Exact types: a subclass may do something else.
        if type(step) is ToTensor and not is_tensor:
            is_tensor = True
        elif (
            type(step) is Normalize and is_tensor and normalize is None and len(step.mean) == len(step.std) == channels
        ):
            normalize = step
        elif (
            type(step) is RandomCrop
            and crop_padding is None
            and normalize is None
            and step.size == (height, width)
            and len(set(step.padding)) == 1
        ):
            crop_padding = step.padding[0]
        elif type(step) is RandomHorizontalFlip and flip is None:
            flip = step.p
        else:
            return None
    if not is_tensor or (normalize is not None and min(normalize.std) <= 0):
        return None
    return Recipe(
        Augmentation(crop_padding or 0, flip or 0.0),
        None if normalize is None else normalize.mean,
        None if normalize is None else normalize.std,
    )
